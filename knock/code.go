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
