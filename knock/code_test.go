package knock

import "testing"

func TestSpellCode(t *testing.T) {
	for code, want := range map[int][2]uint16{
		0:       {40000, 41000},
		7:       {40000, 41007},
		492817:  {40492, 41817},
		MaxCode: {40999, 41999},
	} {
		got := SpellCode(40000, code)
		if got[0] != (Port{want[0], TCP}) || got[1] != (Port{want[1], TCP}) {
			t.Errorf("SpellCode(40000, %d) = %v, want %v", code, got, want)
		}
	}
}
