package remote

import "sort"

// What follows is for the policy that keeps the files of others: each function
// gives files of a repository that belong to somebody else.

// Kept gives those of our record.
func Kept(recorded []Entry) []Entry {
	var kept []Entry
	for _, e := range recorded {
		if e.Foreign {
			kept = append(kept, e)
		}
	}
	return kept
}

// Theirs gives those at a head that somebody else made: files that we never
// recorded, or that differ from what we recorded.
func Theirs(recorded, found []Entry) []Entry {
	ours := byPath(recorded)
	var kept []Entry
	for _, e := range found {
		if old, ok := ours[e.Path]; !ok || old.Foreign || old.ID != e.ID || old.Mode != e.Mode {
			e.Foreign = true
			kept = append(kept, e)
		}
	}
	return kept
}

// KeptAtOurs gives those at a head that we made. If the record of that push was
// lost, it may have kept files that the record does not know: nobody can tell
// them from files of ours that came and went meanwhile, so both stay. Without any
// record everything at the head counts as ours.
func KeptAtOurs(rec *Snapshot, found []Entry) []Entry {
	recorded := byPath(rec.Entries)
	var kept []Entry
	for _, e := range found {
		old, ok := recorded[e.Path]
		if ok && old.Foreign && old.ID == e.ID || !ok && rec.HeadHex() != "" {
			e.Foreign = true
			kept = append(kept, e)
		}
	}
	return kept
}

// WithKept adds the files of others for which the ARC has none of its own, nor a
// folder or file in their way. It orders what it gives.
func WithKept(own, kept []Entry) []Entry {
	if len(kept) == 0 {
		return own
	}
	taken := map[string]bool{}
	for _, e := range own {
		taken[e.Path] = true
		for i, c := range e.Path {
			if c == '/' {
				taken[e.Path[:i]+"/"] = true
			}
		}
	}
	for _, e := range kept {
		blocked := taken[e.Path] || taken[e.Path+"/"]
		for i, c := range e.Path {
			blocked = blocked || c == '/' && taken[e.Path[:i]]
		}
		if !blocked {
			own = append(own, e)
		}
	}
	sort.Slice(own, func(i, j int) bool { return own[i].Path < own[j].Path })
	return own
}

func byPath(entries []Entry) map[string]Entry {
	m := make(map[string]Entry, len(entries))
	for _, e := range entries {
		m[e.Path] = e
	}
	return m
}
