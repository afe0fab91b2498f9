package configure

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/config"
	"nftknock/knock"
)

// rfcSecret is "12345678901234567890", as in RFC 6238, appendix B.
const rfcSecret config.Secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

func TestShowCodes(t *testing.T) {
	var out strings.Builder
	door := &knock.Door{CodeBase: 20000}
	if err := showCodes(&out, door, rfcSecret, time.Unix(1111111109, 7e8)); err != nil {
		t.Fatal(err)
	}
	door.Sequence = sequenceOf(7011)
	if err := showCodes(&out, door, rfcSecret, time.Unix(1111111080, 0)); err != nil {
		t.Fatal(err)
	}
	const want = `now  081 804  knock 20081, then 21804
next 050 471  knock 20050, then 21471
The code changes in 1s.
now  081 804  knock 20081, then 21804
next 050 471  knock 20050, then 21471
The door's sequence comes before the two knocks.
The code changes in 30s.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}
