// SPDX-License-Identifier: Apache-2.0

package report

import (
	"net/url"
	"regexp/syntax"
	"strings"
)

// examples are paths that a regular expression is meant for: the shortest, and a
// longer one. Where it is beyond Go's syntax, what stands before its first special
// character is the only one. They are meant to be tried, not to be relied on.
func examples(expr string) []string {
	parsed, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		literal := expr
		if i := strings.IndexAny(expr, `\.+*?()|[]{}^$`); i >= 0 {
			literal = expr[:i]
		}
		return []string{orElse(literal, "/")}
	}
	var found []string
	for repeats := range 2 {
		var b strings.Builder
		example(&b, parsed, repeats)
		if path := b.String(); strings.HasPrefix(path, "/") && (len(found) == 0 || found[0] != path) {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		return []string{"/"}
	}
	return found
}

// maxExample bounds the length of an example, which repetitions of repetitions could
// make very long.
const maxExample = 1024

// example writes a text that the expression matches, with so many repetitions where
// none are asked for.
func example(b *strings.Builder, re *syntax.Regexp, repeats int) {
	if b.Len() > maxExample {
		return
	}
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		b.WriteRune(anyOf(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		b.WriteByte('x')
	case syntax.OpCapture, syntax.OpPlus:
		example(b, re.Sub[0], repeats)
	case syntax.OpStar, syntax.OpQuest:
		for range repeats {
			example(b, re.Sub[0], repeats)
		}
	case syntax.OpRepeat:
		for range min(re.Min, maxExample) {
			example(b, re.Sub[0], repeats)
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			example(b, sub, repeats)
		}
	case syntax.OpAlternate:
		// The last branch is the empty one in the usual (/|$).
		if sub := re.Sub; repeats == 0 {
			example(b, sub[len(sub)-1], repeats)
		} else {
			example(b, sub[0], repeats)
		}
	}
}

// anyOf is a character of a class, given as pairs of bounds: a letter or digit if
// there is one.
func anyOf(class []rune) rune {
	for _, want := range "xa1XA/-" {
		for i := 0; i+1 < len(class); i += 2 {
			if class[i] <= want && want <= class[i+1] {
				return want
			}
		}
	}
	if len(class) == 0 {
		return 'x'
	}
	return class[0]
}

// escapedPath writes a path as clients send it.
func escapedPath(path string) string {
	return (&url.URL{Path: path}).EscapedPath()
}
