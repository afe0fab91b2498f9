package knock

// A one-time code has six digits. Two knocks spell it: the first three digits choose
// one of a thousand TCP ports from the door's CodeBase on, the last three one of the
// thousand after those. With CodeBase 40000, the code 492817 is knocked as 40492 41817.
const (
	CodePorts = 2 * codeHalf // how many ports carry codes, from a door's CodeBase on
	MaxCode   = codeHalf*codeHalf - 1

	codeHalf = 1000
)

// SpellCode returns the knocks that spell a code, 0 to MaxCode, from a base that
// leaves room for CodePorts ports.
func SpellCode(base uint16, code int) [2]Port {
	return [2]Port{
		{Number: base + uint16(code/codeHalf), Proto: TCP},
		{Number: base + codeHalf + uint16(code%codeHalf), Proto: TCP},
	}
}

// codeHalfOf returns which half of a code a port spells, 0 or 1, if it does.
func codeHalfOf(base uint16, p Port) (half int, ok bool) {
	if base == 0 || p.Proto != TCP || p.Number < base || int(p.Number) >= int(base)+CodePorts {
		return 0, false
	}
	return int(p.Number-base) / codeHalf, true
}

// codeOf is the inverse of SpellCode.
func codeOf(base, first, second uint16) int {
	return int(first-base)*codeHalf + int(second-base-codeHalf)
}
