// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/md5" // a format of passwords that nginx reads
	"strings"
)

// hashAPR1 is Apache's variant of the MD5 hash of crypt, the usual one in files of
// passwords, with its prefix and salt.
func hashAPR1(password, salt string) string {
	const magic = "$apr1$"
	sum := func(parts ...string) string {
		s := md5.Sum([]byte(strings.Join(parts, "")))
		return string(s[:])
	}
	inner := sum(password, salt, password)
	first := password + magic + salt + strings.Repeat(inner, len(password)/len(inner)) + inner[:len(password)%len(inner)]
	for n := len(password); n > 0; n >>= 1 {
		if n&1 != 0 {
			first += "\x00"
		} else {
			first += password[:1]
		}
	}
	hash := sum(first)
	for i := range 1000 {
		var parts []string
		add := func(condition bool, yes, no string) {
			if !condition {
				yes = no
			}
			parts = append(parts, yes)
		}
		add(i%2 != 0, password, hash)
		add(i%3 != 0, salt, "")
		add(i%7 != 0, password, "")
		add(i%2 != 0, hash, password)
		hash = sum(parts...)
	}
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var text strings.Builder
	write := func(bits uint, letters int) {
		for range letters {
			text.WriteByte(alphabet[bits&63])
			bits >>= 6
		}
	}
	for i := range 5 {
		c := i + 12
		if i == 4 {
			c = 5
		}
		write(uint(hash[i])<<16|uint(hash[i+6])<<8|uint(hash[c]), 4)
	}
	write(uint(hash[11]), 2)
	return magic + salt + "$" + text.String()
}
