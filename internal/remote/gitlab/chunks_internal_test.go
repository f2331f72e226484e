package gitlab

import (
	"slices"
	"testing"
)

// A commit is bounded in files and in bytes, and what is larger by itself has one of its own.
func TestCommitsAreBounded(t *testing.T) {
	t.Parallel()
	const mebibyte = 1 << 20
	for _, c := range []struct{ sizes, want []int }{
		{nil, nil},
		{[]int{1, 1, 1, 1, 1}, []int{4, 1}},
		{[]int{50, 46}, []int{2}},
		{[]int{60, 40, 40, 10}, []int{1, 3}},
		{[]int{200, 1, 200, 1}, []int{1, 1, 1, 1}},
	} {
		var actions []action
		for _, size := range c.sizes {
			actions = append(actions, action{size: size * mebibyte})
		}
		var got []int
		for _, chunk := range chunks(actions, 4) {
			got = append(got, len(chunk))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("files of %d MiB make commits of %d, want %d", c.sizes, got, c.want)
		}
	}
}
