package spa

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"encoding/base64"
)

// Sizes of a packet in bytes, for a filter in the kernel. Within them are also packets that
// [Keys.Open] refuses and [Keys.Diagnose] can tell apart: without HMAC, of GPG.
const (
	MinSize = (minBlocks*aes.BlockSize*8+5)/6 - len(prefix)
	MaxSize = 1500 // fwknop's MAX_SPA_ENCRYPTED_SIZE
)

// maxPacket is how long a packet can be, with its HMAC: fwknop takes what is longer for one
// of GPG (MIN_GNUPG_MSG_SIZE).
const maxPacket = 399

// prefix is what "Salted__" begins with in base64, and no packet.
const prefix = "U2FsdGVkX1"

// minBlocks is how many blocks of AES the shortest message has: 101 characters (1.1.1.1,tcp/1,
// one letter of user), and the salt.
const minBlocks = 101/aes.BlockSize + 1 + 1

// Lengths of an HMAC in base64.
const (
	md5Text    = 22
	sha1Text   = 27
	sha256Text = 43
	sha384Text = 64
	sha512Text = 86
)

// encoding refuses bits that mean nothing, so that a text has one reading only.
var encoding = base64.RawStdEncoding.Strict()

// isText reports whether n characters can be an encrypted message: the base64 of whole blocks.
func isText(n int) bool {
	if n < MinSize || n > maxPacket {
		return false
	}
	size := (n + len(prefix)) * 6 / 8
	return size%aes.BlockSize == 0 && encoding.EncodedLen(size) == n+len(prefix)
}

// alphabet has the value of each character of base64, and 0xff for every other byte.
var alphabet = func() (a [256]uint8) {
	for i := range a {
		a[i] = 0xff
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		a[c] = uint8(i)
	}
	return a
}()

// inAlphabet reports whether data is base64 without padding.
func inAlphabet(data []byte) bool {
	var all uint8
	for _, c := range data {
		all |= alphabet[c]
	}
	return all < 64
}

// hasShape reports whether a text whose length is right can be an encrypted message followed
// by an HMAC, as far as single characters tell: of 256 random packets about one.
func hasShape(text, mac []byte) bool {
	// "Salted__" ends in the middle of the first character: 1111xx.
	if alphabet[text[0]] < 0b111100 {
		return false
	}
	return endsClean(len(prefix)+len(text), text) && endsClean(len(mac), mac)
}

// endsClean reports whether the bits are zero that the last character has beyond the last
// byte, in a base64 text of n characters. A strict decoder asks the same.
func endsClean(n int, text []byte) bool {
	last := alphabet[text[len(text)-1]]
	switch n % 4 {
	case 2:
		return last&0b1111 == 0
	case 3:
		return last&0b11 == 0
	}
	return true
}

const saltSize = 8

// keyAndIV is OpenSSL's EVP_BytesToKey with MD5 and one round.
func keyAndIV(secret, salt []byte) (key, iv []byte) {
	var out, sum []byte
	for len(out) < 32+aes.BlockSize {
		h := md5.New()
		h.Write(sum)
		h.Write(secret)
		h.Write(salt)
		sum = h.Sum(nil)
		out = append(out, sum...)
	}
	return out[:32], out[32:]
}

func newCBC(secret, salt []byte, mode func(cipher.Block, []byte) cipher.BlockMode) cipher.BlockMode {
	key, iv := keyAndIV(secret, salt)
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // of the key's length, which is ours
	}
	return mode(block, iv)
}

// decrypt takes a message apart that is prefix and text in base64.
func decrypt(secret, message []byte) (plain []byte, ok bool) {
	raw, err := encoding.AppendDecode(nil, message)
	if err != nil || len(raw) < 2*aes.BlockSize || len(raw)%aes.BlockSize != 0 || !bytes.HasPrefix(raw, []byte("Salted__")) {
		return nil, false
	}
	salt, plain := raw[aes.BlockSize-saltSize:aes.BlockSize], raw[aes.BlockSize:]
	newCBC(secret, salt, cipher.NewCBCDecrypter).CryptBlocks(plain, plain)

	// PKCS #7. The HMAC was right, so nobody learns anything from how long this takes.
	pad := int(plain[len(plain)-1])
	if pad < 1 || pad > aes.BlockSize {
		return nil, false
	}
	plain, tail := plain[:len(plain)-pad], plain[len(plain)-pad:]
	return plain, bytes.Count(tail, tail[:1]) == pad
}

// encrypt is the inverse of decrypt.
func encrypt(secret, salt, plain []byte) []byte {
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	raw := append([]byte("Salted__"), salt...)
	raw = append(raw, plain...)
	raw = append(raw, bytes.Repeat([]byte{byte(pad)}, pad)...)
	data := raw[aes.BlockSize:]
	newCBC(secret, salt, cipher.NewCBCEncrypter).CryptBlocks(data, data)
	return encoding.AppendEncode(nil, raw)
}
