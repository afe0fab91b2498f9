package knock

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// coded returns a door with one-time codes.
func coded(name, sequence string) Door {
	d := door(name, sequence, "")
	d.CodeBase = 40000
	return d
}

func TestConflicts(t *testing.T) {
	// The names say where the knocks of b stand among those of a.
	for _, test := range []struct {
		name  string
		doors []Door
		want  []Conflict
	}{
		{
			name:  "equal",
			doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7001 7002 7003", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}, {"b", Grant, "a", Grant}},
		},
		{
			name:  "code after the same",
			doors: []Door{coded("a", "7001"), coded("b", "7001")},
			want:  []Conflict{{"a", Grant, "b", Grant}, {"b", Grant, "a", Grant}},
		},
		{
			name:  "code after another",
			doors: []Door{coded("a", "7001"), coded("b", "7002")},
		},
		{
			name:  "code after nothing",
			doors: []Door{coded("a", "7001"), coded("b", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}},
		},
		{
			name:  "prefix",
			doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7001 7002", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}},
		},
		{
			name:  "suffix",
			doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7002 7003", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}},
		},
		{
			name:  "infix",
			doors: []Door{door("a", "7001 7002 7003 7004", ""), door("b", "7002 7003", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}},
		},
		{
			name:  "scattered",
			doors: []Door{door("a", "7001 7002 7003 7004", ""), door("b", "7001 7003", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}},
		},
		{
			name:  "a single knock",
			doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7002", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}},
		},
		{
			name:  "twice",
			doors: []Door{door("a", "7001 7002 7001 7002", ""), door("b", "7001 7002", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}},
		},
		{
			name:  "with a port twice",
			doors: []Door{door("a", "7001 7001 7002 7003", ""), door("b", "7001 7001 7003", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}},
		},
		{
			name:  "after a wrong start",
			doors: []Door{door("a", "7001 7001 7002", ""), door("b", "7001 7002", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}},
		},
		{
			name:  "UDP",
			doors: []Door{door("a", "7001:udp 7002 7003:udp", ""), door("b", "7001:udp 7003:udp", "")},
			want:  []Conflict{{"a", Grant, "b", Grant}},
		},
		{
			name:  "closing is opening",
			doors: []Door{door("a", "7001 7002 7003", "7001 7002 7003")},
			want:  []Conflict{{"a", Revoke, "a", Grant}},
		},
		{
			name:  "closing ends with opening",
			doors: []Door{door("a", "7001 7002", "7003 7001 7002")},
			want:  []Conflict{{"a", Revoke, "a", Grant}},
		},
		{
			name:  "closing advances opening",
			doors: []Door{door("a", "7001 7002 7003", "7003 7001 7002")},
			want:  []Conflict{{Door: "a", Action: Revoke}},
		},
		{
			name:  "closing another door",
			doors: []Door{door("a", "7001 7002 7003", ""), door("b", "8001 8002", "7002 7003")},
			want:  []Conflict{{"a", Grant, "b", Revoke}},
		},
		{
			name:  "closing two doors at once",
			doors: []Door{door("a", "7001 7002", "8001 8002"), door("b", "7003 7004", "8001 8002")},
			want:  []Conflict{{"a", Revoke, "b", Revoke}, {"b", Revoke, "a", Revoke}},
		},
		{
			name: "three",
			doors: []Door{
				door("a", "7001 7002 7003", ""),
				door("b", "7001 7002", ""),
				door("c", "7003", ""),
			},
			want: []Conflict{{"a", Grant, "b", Grant}, {"a", Grant, "c", Grant}},
		},

		{name: "no doors"},
		{name: "tutorial", doors: []Door{door("a", "7000 8000 9000", "9000 8000 7000")}},
		{name: "one door without a closing sequence", doors: []Door{door("a", "7001 7002 7003", "")}},
		{name: "one door with the same port twice", doors: []Door{door("a", "7001 7001 7001", "")}},
		{name: "another order", doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7002 7001 7003", "")}},
		{name: "another protocol", doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7001 7002:udp", "")}},
		{name: "disturbed", doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7001 7003 7002", "")}},
		{name: "another end", doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7001 7002 7004", "")}},
		{name: "end of one, beginning of the other", doors: []Door{door("a", "7001 7002", ""), door("b", "7003 7001", "")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, Conflicts(test.doors)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestConflictsOfManyDoors(t *testing.T) {
	const many = 1000
	var doors []Door
	for n := range many {
		first, last := 10000+n, 20000+n
		doors = append(doors, door(fmt.Sprintf("d%d", n),
			fmt.Sprintf("%d %d:udp %d", first, first, last),
			fmt.Sprintf("%d %d:udp %d", last, first, first)))
	}
	if got := Conflicts(doors); len(got) > 0 {
		t.Errorf("%v", got)
	}

	twin := doors[many-1]
	twin.Name = "twin"
	want := []Conflict{
		{"d999", Grant, "twin", Grant}, {"d999", Revoke, "twin", Revoke},
		{"twin", Grant, "d999", Grant}, {"twin", Revoke, "d999", Revoke},
	}
	if diff := cmp.Diff(want, Conflicts(append(doors, twin))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
