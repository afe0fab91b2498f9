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
			want:  []Conflict{{"a", LetIn, "b", LetIn}, {"b", LetIn, "a", LetIn}},
		},
		{
			name:  "code after the same",
			doors: []Door{coded("a", "7001"), coded("b", "7001")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}, {"b", LetIn, "a", LetIn}},
		},
		{
			name:  "code after another",
			doors: []Door{coded("a", "7001"), coded("b", "7002")},
		},
		{
			name:  "code after nothing",
			doors: []Door{coded("a", "7001"), coded("b", "")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}},
		},
		{
			name:  "prefix",
			doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7001 7002", "")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}},
		},
		{
			name:  "suffix",
			doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7002 7003", "")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}},
		},
		{
			name:  "infix",
			doors: []Door{door("a", "7001 7002 7003 7004", ""), door("b", "7002 7003", "")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}},
		},
		{
			name:  "scattered",
			doors: []Door{door("a", "7001 7002 7003 7004", ""), door("b", "7001 7003", "")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}},
		},
		{
			name:  "a single knock",
			doors: []Door{door("a", "7001 7002 7003", ""), door("b", "7002", "")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}},
		},
		{
			name:  "twice",
			doors: []Door{door("a", "7001 7002 7001 7002", ""), door("b", "7001 7002", "")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}},
		},
		{
			name:  "with a port twice",
			doors: []Door{door("a", "7001 7001 7002 7003", ""), door("b", "7001 7001 7003", "")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}},
		},
		{
			name:  "after a wrong start",
			doors: []Door{door("a", "7001 7001 7002", ""), door("b", "7001 7002", "")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}},
		},
		{
			name:  "UDP",
			doors: []Door{door("a", "7001:udp 7002 7003:udp", ""), door("b", "7001:udp 7003:udp", "")},
			want:  []Conflict{{"a", LetIn, "b", LetIn}},
		},
		{
			name:  "closing is opening",
			doors: []Door{door("a", "7001 7002 7003", "7001 7002 7003")},
			want:  []Conflict{{"a", LetIn, "a", PutOut}, {"a", PutOut, "a", LetIn}},
		},
		{
			name:  "closing ends with opening",
			doors: []Door{door("a", "7001 7002", "7003 7001 7002")},
			want:  []Conflict{{"a", PutOut, "a", LetIn}},
		},
		{
			name:  "closing another door",
			doors: []Door{door("a", "7001 7002 7003", ""), door("b", "8001 8002", "7002 7003")},
			want:  []Conflict{{"a", LetIn, "b", PutOut}},
		},
		{
			name:  "closing two doors at once",
			doors: []Door{door("a", "7001 7002", "8001 8002"), door("b", "7003 7004", "8001 8002")},
			want:  []Conflict{{"a", PutOut, "b", PutOut}, {"b", PutOut, "a", PutOut}},
		},
		{
			name: "three",
			doors: []Door{
				door("a", "7001 7002 7003", ""),
				door("b", "7001 7002", ""),
				door("c", "7003", ""),
			},
			want: []Conflict{{"a", LetIn, "b", LetIn}, {"a", LetIn, "c", LetIn}},
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
		{"d999", LetIn, "twin", LetIn}, {"d999", PutOut, "twin", PutOut},
		{"twin", LetIn, "d999", LetIn}, {"twin", PutOut, "d999", PutOut},
	}
	if diff := cmp.Diff(want, Conflicts(append(doors, twin))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
