"""The tree again, slow and obvious: Python lists as pages, `is` as pointer comparison, one frame at a time.

It knows the rules from their fields only, and shares no code with `xenp2m.model`.
"""

from __future__ import annotations


class TwinTree:
    """Pages are lists; a page is shared when several entries are the same list object."""

    def __init__(self, rules, geometry, mfn_list):
        self.rules, self.g, self.n = rules, geometry, geometry.entries
        n = self.n
        self.missing = [geometry.invalid] * n
        self.identity = [geometry.invalid] * n
        self.mid_missing = [self.missing] * n
        self.mid_identity = [self.identity] * n
        void = self.mid_identity if rules.void_identity else self.mid_missing
        self.top = [void] * n
        self.early = True
        self.brk = 5 if rules.swap_mid or rules.void_identity else 4
        self.runtime = self.bootmem = 0
        self.told = None
        self.nr = len(mfn_list)
        for start in range(0, self.nr, n):
            t, m = start // n // n, start // n % n
            if self.top[t] is void:
                self.top[t] = list(void)
                self.brk += 1
            page = list(mfn_list[start : start + n])
            self.top[t][m] = page + [geometry.invalid] * (n - len(page))
        if not rules.late_mfn_tree:
            self.brk += self.build_told()

    def build_told(self):
        n, self.told, pages = self.n, {}, 3
        for start in range(0, self.nr, n):
            t, m = start // n // n, start // n % n
            if self.top[t] is self.mid_missing:
                continue
            if t not in self.told:
                self.told[t] = [self.missing] * n
                pages += 1
            self.told[t][m] = self.top[t][m]
        return pages

    def rt(self):
        if self.early and self.told is None:
            self.bootmem += self.build_told()
        self.early = False

    def at(self, pfn):
        return pfn // self.n // self.n, pfn // self.n % self.n, pfn % self.n

    def ident(self, pfn):
        return pfn if self.rules.by_value else pfn | self.g.identity_bit

    def get(self, pfn):
        if pfn >= self.n**3:
            return self.ident(pfn) if self.rules.beyond_identity else self.g.invalid
        t, m, i = self.at(pfn)
        return self.ident(pfn) if self.top[t][m] is self.identity else self.top[t][m][i]

    def store(self, pfn, word):
        """Below the end of the tree only."""
        t, m, i = self.at(pfn)
        r = self.rules
        if (word == pfn) if r.by_value else (word != self.g.invalid and word & self.g.identity_bit):
            if self.top[t][m] is self.identity:
                return True
            if r.swap_mid and self.top[t] is self.mid_missing:
                self.top[t] = self.mid_identity
                return True
            if r.swap and self.top[t][m] is self.missing:
                self.top[t][m] = self.identity
                return True
        if r.guard and self.top[t][m] is self.missing:
            return word == self.g.invalid
        if r.void_identity and self.top[t][m] is self.identity:
            return False
        self.top[t][m][i] = word
        return True

    def fresh(self, pfn):
        n, (t, m, _) = self.n, self.at(pfn)
        if self.rules.void_identity and self.top[t][m] is self.identity:
            return [self.ident(pfn - pfn % n + i) for i in range(n)]
        return [self.g.invalid] * n

    @property
    def void_mid(self):
        return self.mid_identity if self.rules.void_identity else self.mid_missing

    def fresh_mid(self):
        """Clean, whatever became of the shared one."""
        return [self.identity if self.rules.void_identity else self.missing] * self.n

    def set(self, pfn, word):
        if self.store(pfn, word):
            return True
        if self.early:
            return self.rules.edges == "hoisted" and self.brk_set(pfn, word)
        t, m, _ = self.at(pfn)
        if self.top[t] is self.void_mid:
            self.top[t] = self.fresh_mid()
            self.runtime += 1
        if t not in self.told:
            self.told[t] = [self.missing] * self.n
            self.runtime += 1
        if self.top[t][m] is self.missing or self.top[t][m] is self.identity:
            self.top[t][m] = self.fresh(pfn)
            self.told[t][m] = self.top[t][m]
            self.runtime += 1
        return self.store(pfn, word)

    def brk_mid(self, pfn):
        t = self.at(pfn)[0]
        if self.top[t] is self.void_mid:
            self.top[t] = self.fresh_mid()
            self.brk += 1
        if self.told is not None and t not in self.told:
            self.told[t] = [self.missing] * self.n
            self.brk += 1

    def brk_leaf(self, pfn):
        t, m, _ = self.at(pfn)
        if self.top[t][m] is not (self.identity if self.rules.void_identity else self.missing):
            return False
        self.top[t][m] = self.fresh(pfn)
        self.brk += 1
        if self.told is not None:
            self.told[t][m] = self.top[t][m]
        return True

    def brk_set(self, pfn, word):
        self.brk_mid(pfn)
        return self.brk_leaf(pfn) and self.store(pfn, word)

    def early_set(self, pfn, word):
        if self.store(pfn, word):
            return True
        if not self.rules.reuse:
            return self.brk_set(pfn, word)
        self.brk_mid(pfn)
        if pfn % self.n == 0:
            for base in range(0, self.n**3, self.n):
                t, m, _ = self.at(base)
                page = self.top[t][m]
                if page is self.missing or page is self.identity or self.top[t] is self.mid_missing:
                    continue
                same = page == [self.ident(base + i) for i in range(self.n)]
                if same or page == [self.g.invalid] * self.n:
                    self.top[t][m] = self.identity if same else self.missing
                    page[:] = [self.g.invalid] * self.n
                    a, b, _ = self.at(pfn)
                    self.top[a][b] = page
                    if self.told is not None:
                        self.told[t][m] = self.missing
                        self.told[a][b] = page
                    return self.store(pfn, word)
        return self.brk_leaf(pfn) and self.store(pfn, word)

    def ri(self, s, e):
        n, edges = self.n, self.rules.edges
        if s >= n**3 or s > e or (edges != "split" and e >= n**3):
            return 0
        e = min(e, n**3)
        if edges in ("builder", "early-set", "hoisted") and s < e:
            for leaf in range(s - s % n, e, n):
                self.brk_mid(leaf)
                self.brk_leaf(leaf)
        if edges == "every-mid":
            for pfn in range(s - s % n**2, -(-e // n**2) * n**2, n**2):
                self.brk_mid(pfn)
            for pfn in (s, e):
                if pfn % n:
                    self.brk_leaf(pfn)
        if edges == "split":
            for pfn in (s, e):
                if pfn % n**2:
                    self.brk_mid(pfn)
                if pfn % n:
                    self.brk_leaf(pfn)
        pfn = s
        while pfn < e:
            assert self.store(pfn, self.ident(pfn))
            t, m, _ = self.at(pfn)
            pfn += 1
            if edges == "split" and self.top[t] is self.mid_identity:
                pfn = -(-pfn // n**2) * n**2
            elif edges == "split" and self.top[t][m] is self.identity:
                pfn = -(-pfn // n) * n
        return pfn - s

    def scribbled(self):
        found = []
        for i in range(self.n):
            found += [("missing", i)] * (self.missing[i] != self.g.invalid)
            found += [("identity", i)] * (self.identity[i] != self.g.invalid)
            found += [("mid_missing", i)] * (self.mid_missing[i] is not self.missing)
            found += [("mid_identity", i)] * (self.mid_identity[i] is not self.identity)
        return found

    def frames(self, end):
        """What tools read."""
        words = []
        for pfn in range(end):
            t, m, i = self.at(pfn)
            words.append(self.told.get(t, [self.missing] * self.n)[m][i])
        return words
