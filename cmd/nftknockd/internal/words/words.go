// Package words puts numbers into sentences.
package words

import "fmt"

// Count says how many there are of what, which makes its plural with an s.
func Count[N int | uint64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
