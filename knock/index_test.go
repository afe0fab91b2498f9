package knock

import "testing"

// TestIndexOneGroup has every attempt fall into the same group, so that all the others
// have to take those that pass it by, more than it can count.
func TestIndexOneGroup(t *testing.T) {
	const attempts = 1000
	x := newIndex(attempts)
	places := make(map[int32]int32)
	hashOf := func(a int32) hash { return hash(a) } // the group is made of the upper half
	find := func(a int32) int32 { return x.find(hashOf(a), func(b int32) bool { return a == b }) }
	check := func(step string) {
		t.Helper()
		for a := range int32(attempts) {
			want := none
			if _, ok := places[a]; ok {
				want = a
			}
			if got := find(a); got != want {
				t.Fatalf("%s: found %d, want %d", step, got, want)
			}
		}
		if x.len != len(places) {
			t.Fatalf("%s: has %d, want %d", step, x.len, len(places))
		}
	}
	add := func(a int32) { places[a] = x.add(hashOf(a), a) }
	remove := func(a int32) {
		x.remove(hashOf(a), places[a])
		delete(places, a)
	}

	for a := range int32(attempts) {
		add(a)
	}
	check("all added")
	for a := int32(0); a < attempts; a += 2 {
		remove(a)
	}
	check("every other removed")
	for a := int32(0); a < attempts; a += 4 {
		add(a)
	}
	check("some added again")
	for a := range int32(attempts) {
		if _, ok := places[a]; ok {
			remove(a)
		}
	}
	check("all removed")
}
