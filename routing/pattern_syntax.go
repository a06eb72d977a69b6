// SPDX-License-Identifier: Apache-2.0

package routing

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// patternFlags are the options that an expression can change from inside.
type patternFlags struct {
	caseless, multiline, dotAll, extended, extendedMore bool
	noCapture, duplicateNames, ungreedy                 bool
}

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(c byte)      { s[c>>6] |= 1 << (c & 63) }
func (s *byteSet) has(c byte) bool { return s[c>>6]&(1<<(c&63)) != 0 }

func (s *byteSet) addRange(from, to byte) {
	for c := int(from); c <= int(to); c++ {
		s.add(byte(c))
	}
}

func (s *byteSet) addSet(other byteSet) {
	for i := range s {
		s[i] |= other[i]
	}
}

func (s byteSet) not() byteSet {
	for i := range s {
		s[i] = ^s[i]
	}
	return s
}

// folded adds to each ASCII letter the one of the other case.
func (s byteSet) folded() byteSet {
	for c := byte('a'); c <= 'z'; c++ {
		if s.has(c) || s.has(c-32) {
			s.add(c)
			s.add(c - 32)
		}
	}
	return s
}

func (s byteSet) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

func setOf(chars string, ranges ...byte) byteSet {
	var s byteSet
	for i := 0; i < len(chars); i++ {
		s.add(chars[i])
	}
	for i := 0; i+1 < len(ranges); i += 2 {
		s.addRange(ranges[i], ranges[i+1])
	}
	return s
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c|32 >= 'a' && c|32 <= 'z'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isOctal(c byte) bool { return c >= '0' && c <= '7' }
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func hexDigit(c byte) (int, bool) {
	switch {
	case isDigit(c):
		return int(c - '0'), true
	case c|32 >= 'a' && c|32 <= 'f':
		return int(c|32-'a') + 10, true
	}
	return 0, false
}

// escapedSet is what a class escape such as \d stands for without UTF.
func escapedSet(c byte) (byteSet, bool) {
	var s byteSet
	switch c | 32 {
	case 'd':
		s = setOf("", '0', '9')
	case 'w':
		s = setOf("_", '0', '9', 'a', 'z', 'A', 'Z')
	case 's':
		s = setOf(" ", '\t', '\r')
	case 'h':
		s = setOf("\t \xa0")
	case 'v':
		s = setOf("\x85", '\n', '\r')
	default:
		return s, false
	}
	if c&32 == 0 {
		s = s.not()
	}
	return s, true
}

// posixSet is what [:name:] stands for in the C locale.
func posixSet(name string) (byteSet, bool) {
	switch name {
	case "alpha":
		return setOf("", 'a', 'z', 'A', 'Z'), true
	case "lower":
		return setOf("", 'a', 'z'), true
	case "upper":
		return setOf("", 'A', 'Z'), true
	case "alnum":
		return setOf("", 'a', 'z', 'A', 'Z', '0', '9'), true
	case "ascii":
		return setOf("", 0, 127), true
	case "blank":
		return setOf("\t "), true
	case "cntrl":
		return setOf("\x7f", 0, 31), true
	case "digit":
		return setOf("", '0', '9'), true
	case "graph":
		return setOf("", 33, 126), true
	case "print":
		return setOf("", 32, 126), true
	case "punct":
		return setOf("", 33, 47, 58, 64, 91, 96, 123, 126), true
	case "space":
		return setOf(" ", '\t', '\r'), true
	case "word":
		return setOf("_", '0', '9', 'a', 'z', 'A', 'Z'), true
	case "xdigit":
		return setOf("", '0', '9', 'a', 'f', 'A', 'F'), true
	}
	return byteSet{}, false
}

type nodeKind uint8

const (
	nodeSet nodeKind = iota
	nodeConcat
	nodeAlternate
	nodeCapture
	nodeGroup
	nodeAtomic
	nodeAhead
	nodeBehind
	nodeRepeat
	nodeReference
	nodeAssert
	nodeKeep
)

type repeatMode uint8

const (
	greedy repeatMode = iota
	lazy
	possessive
)

const unlimited = -1

// node is one part of a parsed expression.
type node struct {
	kind     nodeKind
	set      byteSet
	kids     []*node
	group    int // of nodeCapture and nodeReference
	min, max int // of nodeRepeat
	mode     repeatMode
	negative bool // of nodeAhead and nodeBehind
	caseless bool // of nodeReference
	assert   opcode
}

// patternParser reads an expression in the order in which PCRE reads it and
// stops at the first thing that PCRE refuses or that is left undecided.
type patternParser struct {
	expr     string
	at       int
	groups   int
	quoted   bool // between \Q and \E
	looking  int  // lookarounds around
	names    map[string][]int
	numbered []patternReference
	named    []patternReference
	behinds  []*node
}

// patternReference is a back reference that is resolved after parsing.
type patternReference struct {
	at   int
	name string
	node *node
}

func (p *patternParser) refuse(format string, args ...any) error {
	return &PatternError{Expr: p.expr, Offset: p.at, Reason: fmt.Sprintf(format, args...)}
}

func (p *patternParser) undecided(what string) error {
	return fmt.Errorf("%w: %s at offset %d of %q", ErrPatternUndecided, what, p.at, p.expr)
}

// rest is what has not been read.
func (p *patternParser) rest() string { return p.expr[p.at:] }

func (p *patternParser) has(prefix string) bool { return strings.HasPrefix(p.rest(), prefix) }

func (p *patternParser) end() bool { return p.at >= len(p.expr) }

// peek returns the next byte, and 0 at the end.
func (p *patternParser) peek() byte {
	if p.end() {
		return 0
	}
	return p.expr[p.at]
}

func (p *patternParser) parse(flags patternFlags) (*node, error) {
	p.names = map[string][]int{}
	tree, err := p.alternatives(&flags, 0)
	if err != nil {
		return nil, err
	}
	if !p.end() {
		return nil, p.refuse("unmatched closing parenthesis")
	}
	for _, r := range p.numbered {
		if r.node.group < 1 || r.node.group > p.groups {
			p.at = r.at
			return nil, p.refuse("reference to non-existent subpattern")
		}
	}
	for _, r := range p.named {
		p.at = r.at
		switch numbers := p.names[r.name]; len(numbers) {
		case 0:
			return nil, p.refuse("reference to non-existent subpattern")
		case 1:
			r.node.group = numbers[0]
		default:
			return nil, p.undecided("reference to a name of several groups")
		}
	}
	for _, behind := range p.behinds {
		if err := p.checkBehind(behind); err != nil {
			return nil, err
		}
	}
	return tree, nil
}

// alternatives reads up to a closing parenthesis or the end. Options that are
// changed inside hold for the alternatives that follow too.
func (p *patternParser) alternatives(flags *patternFlags, depth int) (*node, error) {
	var branches []*node
	for {
		branch, err := p.branch(flags, depth)
		if err != nil {
			return nil, err
		}
		branches = append(branches, branch)
		if p.quoted || p.peek() != '|' {
			break
		}
		p.at++
	}
	if len(branches) == 1 {
		return branches[0], nil
	}
	return &node{kind: nodeAlternate, kids: branches}, nil
}

// skipIgnored passes what PCRE ignores between items: comments, \E, and white
// space in extended mode. It enters and leaves quoting.
func (p *patternParser) skipIgnored(flags *patternFlags) error {
	for !p.end() {
		switch {
		case p.has(`\E`):
			p.quoted = false
			p.at += 2
		case p.quoted:
			return nil
		case p.has(`\Q`):
			p.quoted = true
			p.at += 2
		case p.has("(?#"):
			n := strings.IndexByte(p.rest(), ')')
			if n < 0 {
				p.at = len(p.expr)
				return p.refuse("missing ) after (?# comment")
			}
			p.at += n + 1
		case flags.extended && isSpace(p.peek()):
			p.at++
		case flags.extended && p.peek() == '#':
			n := strings.IndexByte(p.rest(), '\n')
			if n < 0 {
				p.at = len(p.expr)
				return nil
			}
			p.at += n + 1
		default:
			return nil
		}
	}
	return nil
}

func (p *patternParser) branch(flags *patternFlags, depth int) (*node, error) {
	seq := &node{kind: nodeConcat}
	repeatable := false
	for {
		if err := p.skipIgnored(flags); err != nil {
			return nil, err
		}
		if p.end() {
			return seq, nil
		}
		c := p.peek()
		if p.quoted {
			p.at++
			seq.kids = append(seq.kids, literalNode(c, flags))
			repeatable = true
			continue
		}
		if c == '|' || c == ')' {
			return seq, nil
		}
		if low, high, ok, err := p.quantifier(); err != nil {
			return nil, err
		} else if ok {
			if !repeatable {
				return nil, p.refuse("quantifier does not follow a repeatable item")
			}
			mode, err := p.quantifierMode(flags)
			if err != nil {
				return nil, err
			}
			last := seq.kids[len(seq.kids)-1]
			if (last.kind == nodeAhead || last.kind == nodeBehind) && high == unlimited {
				high = low + 1
			}
			seq.kids[len(seq.kids)-1] = &node{kind: nodeRepeat, kids: []*node{last}, min: low, max: high, mode: mode}
			repeatable = false
			continue
		}
		item, can, err := p.item(flags, depth)
		if err != nil {
			return nil, err
		}
		repeatable = can
		if item != nil {
			seq.kids = append(seq.kids, item)
		}
	}
}

// quantifier reads one, without what makes it lazy or possessive.
func (p *patternParser) quantifier() (low, high int, ok bool, err error) {
	switch p.peek() {
	case '*':
		p.at++
		return 0, unlimited, true, nil
	case '+':
		p.at++
		return 1, unlimited, true, nil
	case '?':
		p.at++
		return 0, 1, true, nil
	case '{':
	default:
		return 0, 0, false, nil
	}
	end := strings.IndexByte(p.rest(), '}')
	if end < 0 {
		return 0, 0, false, nil
	}
	inside := p.expr[p.at+1 : p.at+end]
	first, second, comma := strings.Cut(inside, ",")
	if !isNumber(first) || comma && second != "" && !isNumber(second) {
		// Later releases take {,3} and { 1, 3 } for quantifiers too.
		if strings.Trim(inside, "0123456789, \t") == "" && strings.ContainsAny(inside, "0123456789") {
			return 0, 0, false, p.undecided("quantifier of another form")
		}
		return 0, 0, false, nil
	}
	low, small := smallNumber(first)
	high = low
	if comma {
		high = unlimited
	}
	p.at += end + 1
	if small && comma && second != "" {
		high, small = smallNumber(second)
	}
	if !small {
		return 0, 0, false, p.refuse("number too big in {} quantifier")
	}
	if high != unlimited && high < low {
		return 0, 0, false, p.refuse("numbers out of order in {} quantifier")
	}
	return low, high, true, nil
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// smallNumber is false for more than 65535, which PCRE takes nowhere.
func smallNumber(s string) (int, bool) {
	n := 0
	for i := 0; i < len(s); i++ {
		n = n*10 + int(s[i]-'0')
		if n > 65535 {
			return 0, false
		}
	}
	return n, true
}

func (p *patternParser) quantifierMode(flags *patternFlags) (repeatMode, error) {
	if err := p.skipIgnored(flags); err != nil {
		return greedy, err
	}
	mode, other := greedy, lazy
	if flags.ungreedy {
		mode, other = lazy, greedy
	}
	if !p.quoted {
		switch p.peek() {
		case '?':
			p.at++
			return other, nil
		case '+':
			p.at++
			return possessive, nil
		}
	}
	return mode, nil
}

func literalNode(c byte, flags *patternFlags) *node {
	s := setOf(string([]byte{c}))
	if flags.caseless {
		s = s.folded()
	}
	return &node{kind: nodeSet, set: s}
}

// item reads one item other than a quantifier, and says whether a quantifier
// may follow. The item is nil for an option setting.
func (p *patternParser) item(flags *patternFlags, depth int) (*node, bool, error) {
	c := p.peek()
	switch c {
	case '\\':
		return p.escape(flags)
	case '[':
		n, err := p.class(flags)
		return n, true, err
	case '(':
		return p.group(flags, depth)
	}
	p.at++
	switch c {
	case '^':
		if flags.multiline {
			return &node{kind: nodeAssert, assert: opLineStart}, false, nil
		}
		return &node{kind: nodeAssert, assert: opStart}, false, nil
	case '$':
		if flags.multiline {
			return &node{kind: nodeAssert, assert: opLineEnd}, false, nil
		}
		return &node{kind: nodeAssert, assert: opEndOrNewline}, false, nil
	case '.':
		s := setOf("\n").not()
		if flags.dotAll {
			s = byteSet{}.not()
		}
		return &node{kind: nodeSet, set: s}, true, nil
	}
	return literalNode(c, flags), true, nil
}

// escape reads an escape sequence outside a class.
func (p *patternParser) escape(flags *patternFlags) (*node, bool, error) {
	begin := p.at
	p.at++
	if p.end() {
		return nil, false, p.refuse(`\ at end of pattern`)
	}
	c := p.peek()
	if s, ok := escapedSet(c); ok {
		p.at++
		return &node{kind: nodeSet, set: s}, true, nil
	}
	assert := func(op opcode) (*node, bool, error) {
		p.at++
		return &node{kind: nodeAssert, assert: op}, false, nil
	}
	switch c {
	case 'A', 'G':
		return assert(opStart)
	case 'Z':
		return assert(opEndOrNewline)
	case 'z':
		return assert(opEnd)
	case 'b':
		return assert(opBoundary)
	case 'B':
		return assert(opNoBoundary)
	case 'K':
		p.at++
		if p.looking > 0 {
			return nil, false, p.refuse(`\K is not allowed in lookarounds (but see PCRE2_EXTRA_ALLOW_LOOKAROUND_BSK)`)
		}
		return &node{kind: nodeKeep}, false, nil
	case 'N':
		p.at++
		if p.peek() == '{' {
			return nil, false, p.undecided(`\N{`)
		}
		return &node{kind: nodeSet, set: setOf("\n").not()}, true, nil
	case 'R':
		p.at++
		crlf := &node{kind: nodeConcat, kids: []*node{{kind: nodeSet, set: setOf("\r")}, {kind: nodeSet, set: setOf("\n")}}}
		one := &node{kind: nodeSet, set: setOf("\x85", '\n', '\r')}
		return &node{kind: nodeAtomic, kids: []*node{{kind: nodeAlternate, kids: []*node{crlf, one}}}}, true, nil
	case 'C', 'X', 'p', 'P':
		return nil, false, p.undecided(`\` + string(rune(c)))
	case 'g', 'k':
		n, err := p.reference(flags)
		return n, true, err
	}
	if c >= '1' && c <= '9' {
		end := p.at
		for end < len(p.expr) && isDigit(p.expr[end]) {
			end++
		}
		number, small := smallNumber(p.expr[p.at:end])
		if !small {
			return nil, false, p.undecided("number of a reference that is too big")
		}
		if number < 10 || c >= '8' || number <= p.groups {
			p.at = end
			return p.numberedReference(begin, number, flags), true, nil
		}
	}
	value, err := p.escapedByte(false)
	if err != nil {
		return nil, false, err
	}
	return literalNode(value, flags), true, nil
}

func (p *patternParser) numberedReference(at, number int, flags *patternFlags) *node {
	n := &node{kind: nodeReference, group: number, caseless: flags.caseless}
	p.numbered = append(p.numbered, patternReference{at: at, node: n})
	return n
}

func (p *patternParser) namedReference(at int, name string, flags *patternFlags) *node {
	n := &node{kind: nodeReference, caseless: flags.caseless}
	p.named = append(p.named, patternReference{at: at, name: name, node: n})
	return n
}

// escapedByte reads, after a backslash, an escape that stands for one byte.
func (p *patternParser) escapedByte(inClass bool) (byte, error) {
	c := p.peek()
	p.at++
	switch c {
	case 'a':
		return 7, nil
	case 'e':
		return 27, nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'c':
		if p.end() {
			return 0, p.refuse(`\c at end of pattern`)
		}
		d := p.peek()
		if d < 32 || d > 126 {
			return 0, p.refuse(`\c must be followed by a printable ASCII character`)
		}
		p.at++
		if d >= 'a' && d <= 'z' {
			d -= 32
		}
		return d ^ 0x40, nil
	case 'x':
		return p.hexByte()
	case 'o':
		if p.peek() != '{' {
			return 0, p.refuse(`missing opening brace after \o`)
		}
		end := strings.IndexByte(p.rest(), '}')
		if end < 2 || end > 8 {
			return 0, p.undecided(`\o`)
		}
		value := 0
		for _, d := range []byte(p.expr[p.at+1 : p.at+end]) {
			if !isOctal(d) {
				return 0, p.undecided(`\o`)
			}
			value = value*8 + int(d-'0')
		}
		if value > 255 {
			return 0, p.refuse(`character code point value in \x{} or \o{} is too large`)
		}
		p.at += end + 1
		return byte(value), nil
	}
	switch {
	case isOctal(c):
		value := int(c - '0')
		for i := 0; i < 2 && !p.end() && isOctal(p.peek()); i++ {
			value = value*8 + int(p.peek()-'0')
			p.at++
		}
		if value > 255 {
			return 0, p.refuse(`octal value is greater than \377 in 8-bit non-UTF-8 mode`)
		}
		return byte(value), nil
	case c == '8' || c == '9':
		if !inClass {
			return 0, p.undecided(`\8`)
		}
		return c, nil
	case isWord(c) && c != '_':
		p.at--
		if strings.IndexByte("lLuU", c) >= 0 {
			return 0, p.refuse(`PCRE2 does not support \F, \L, \l, \N{name}, \U, or \u`)
		}
		if inClass && (c == 'g' || c == 'k') {
			return 0, p.undecided(`\` + string(rune(c)) + " in a class")
		}
		if inClass && strings.IndexByte("ABCGKNRXZz", c) >= 0 {
			return 0, p.refuse("escape sequence is invalid in character class")
		}
		return 0, p.refuse(`unrecognized character follows \`)
	}
	return c, nil
}

func (p *patternParser) hexByte() (byte, error) {
	value := 0
	if p.peek() == '{' {
		end := strings.IndexByte(p.rest(), '}')
		if end < 2 || end > 8 {
			return 0, p.undecided(`\x{`)
		}
		for _, d := range []byte(p.expr[p.at+1 : p.at+end]) {
			digit, ok := hexDigit(d)
			if !ok {
				return 0, p.undecided(`\x{`)
			}
			value = value*16 + digit
		}
		if value > 255 {
			return 0, p.refuse(`character code point value in \x{} or \o{} is too large`)
		}
		p.at += end + 1
		return byte(value), nil
	}
	for i := range 2 {
		digit, ok := hexDigit(p.peek())
		if !ok && i == 0 {
			return 0, p.undecided(`\x without a digit`)
		}
		if !ok {
			break
		}
		value = value*16 + digit
		p.at++
	}
	return byte(value), nil
}

// reference reads a back reference that begins with \g or \k.
func (p *patternParser) reference(flags *patternFlags) (*node, error) {
	begin := p.at - 1
	kind := p.peek()
	p.at++
	open := p.peek()
	if kind == 'k' {
		closing, ok := map[byte]byte{'{': '}', '<': '>', '\'': '\''}[open]
		if !ok {
			return nil, p.refuse(`\k is not followed by a braced, angle-bracketed, or quoted name`)
		}
		p.at++
		name, err := p.name(closing)
		if err != nil {
			return nil, err
		}
		return p.namedReference(begin, name, flags), nil
	}
	if open == '<' || open == '\'' {
		return nil, p.undecided("subroutine call")
	}
	braced := open == '{'
	if braced {
		p.at++
	}
	rest := p.rest()
	sign := byte(0)
	if rest != "" && (rest[0] == '-' || rest[0] == '+') {
		sign, rest = rest[0], rest[1:]
	}
	digits := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	switch {
	case digits == "" && !braced && sign == 0:
		return nil, p.refuse(`\g is not followed by a braced, angle-bracketed, or quoted name/number or by a plain number`)
	case digits == "" && braced && sign == 0:
		name, err := p.name('}')
		if err != nil {
			return nil, err
		}
		return p.namedReference(begin, name, flags), nil
	case digits == "" || braced && !strings.HasPrefix(rest[len(digits):], "}"):
		return nil, p.undecided(`\g`)
	}
	number, small := smallNumber(digits)
	if !small || number == 0 && sign != 0 {
		return nil, p.undecided(`\g with such a number`)
	}
	switch sign {
	case '-':
		number = p.groups - number + 1
	case '+':
		number += p.groups
	}
	p.at = len(p.expr) - len(rest) + len(digits)
	if braced {
		p.at++
	}
	if number < 1 {
		return nil, p.refuse("reference to non-existent subpattern")
	}
	return p.numberedReference(begin, number, flags), nil
}

// name reads the name of a group and what closes it.
func (p *patternParser) name(closing byte) (string, error) {
	begin := p.at
	for !p.end() && isWord(p.peek()) {
		p.at++
	}
	name := p.expr[begin:p.at]
	switch {
	case p.peek() == ' ' || p.peek() == '\t':
		return "", p.undecided("name with white space")
	case name == "":
		return "", p.refuse("subpattern name expected")
	case isDigit(name[0]):
		return "", p.refuse("subpattern name must start with a non-digit")
	case len(name) > 32:
		return "", p.undecided("name of more than 32 characters")
	case p.peek() != closing:
		return "", p.refuse("syntax error in subpattern name (missing terminator?)")
	}
	p.at++
	return name, nil
}

// group reads what begins with a parenthesis.
func (p *patternParser) group(flags *patternFlags, depth int) (*node, bool, error) {
	if depth+1 > maxPatternDepth {
		return nil, false, p.refuse("parentheses are too deeply nested")
	}
	p.at++
	rest := p.rest()
	n := &node{kind: nodeCapture}
	inner := *flags
	switch {
	case strings.HasPrefix(rest, "*)"), rest == "*":
		return nil, false, p.refuse("quantifier does not follow a repeatable item")
	case strings.HasPrefix(rest, "*"):
		if c := rest[1]; c == ':' || isWord(c) {
			return nil, false, p.undecided("(* item")
		}
		return nil, false, p.refuse("(*VERB) not recognized or malformed")
	case !strings.HasPrefix(rest, "?"):
		if flags.noCapture {
			n.kind = nodeGroup
		}
	default:
		p.at++
		if p.end() {
			return nil, false, p.refuse("missing closing parenthesis")
		}
		switch c := p.peek(); {
		case c == ':':
			p.at++
			n.kind = nodeGroup
		case c == '>':
			p.at++
			n.kind = nodeAtomic
		case c == '=' || c == '!':
			p.at++
			n.kind, n.negative = nodeAhead, c == '!'
		case p.has("<=") || p.has("<!"):
			n.kind, n.negative = nodeBehind, p.expr[p.at+1] == '!'
			p.at += 2
			p.behinds = append(p.behinds, n)
		case c == '<' || c == '\'' || p.has("P<"):
			if p.has("<*") {
				return nil, false, p.undecided("non-atomic assertion")
			}
			closing := byte('>')
			if c == '\'' {
				closing = c
			}
			if c == 'P' {
				p.at++
			}
			p.at++
			name, err := p.name(closing)
			if err != nil {
				return nil, false, err
			}
			if len(p.names[name]) > 0 && !flags.duplicateNames {
				return nil, false, p.refuse("two named subpatterns have the same name (PCRE2_DUPNAMES not set)")
			}
			p.names[name] = append(p.names[name], p.groups+1)
		case p.has("P="):
			begin := p.at - 2
			p.at += 2
			name, err := p.name(')')
			if err != nil {
				return nil, false, err
			}
			return p.namedReference(begin, name, flags), true, nil
		case c == 'P' && !p.has("P>"):
			return nil, false, p.refuse("unrecognized character after (?P")
		case strings.IndexByte("P&R0123456789+(C|*[", c) >= 0,
			c == '-' && p.at+1 < len(p.expr) && isDigit(p.expr[p.at+1]):
			return nil, false, p.undecided("(?" + string(rune(c)) + " item")
		default:
			closed, err := p.options(&inner)
			if err != nil {
				return nil, false, err
			}
			if closed {
				*flags = inner
				return nil, false, nil
			}
			n.kind = nodeGroup
		}
	}
	if n.kind == nodeCapture {
		p.groups++
		n.group = p.groups
	}
	looks := n.kind == nodeAhead || n.kind == nodeBehind
	if looks {
		p.looking++
	}
	body, err := p.alternatives(&inner, depth+1)
	if looks {
		p.looking--
	}
	if err != nil {
		return nil, false, err
	}
	if p.end() {
		return nil, false, p.refuse("missing closing parenthesis")
	}
	p.at++
	n.kids = []*node{body}
	return n, true, nil
}

// options reads option letters and says whether a parenthesis ended them,
// rather than the colon that begins a group.
func (p *patternParser) options(flags *patternFlags) (closed bool, err error) {
	on, hyphen := true, false
	if p.peek() == '^' {
		p.at++
		hyphen = true // No hyphen may follow.
		flags.caseless, flags.multiline, flags.noCapture, flags.dotAll = false, false, false, false
		flags.extended, flags.extendedMore = false, false
	}
	for !p.end() {
		c := p.peek()
		p.at++
		switch c {
		case ')':
			return true, nil
		case ':':
			return false, nil
		case '-':
			if hyphen {
				return false, p.refuse("invalid hyphen in option setting")
			}
			on, hyphen = false, true
		case 'i':
			flags.caseless = on
		case 'm':
			flags.multiline = on
		case 's':
			flags.dotAll = on
		case 'n':
			flags.noCapture = on
		case 'J':
			flags.duplicateNames = on
		case 'U':
			flags.ungreedy = on
		case 'x':
			flags.extended, flags.extendedMore = on, false
			if p.peek() == 'x' {
				p.at++
				flags.extendedMore = on
			}
		case 'a', 'r', '^':
			return false, p.undecided("option " + string(rune(c)))
		default:
			return false, p.refuse("unrecognized character after (? or (?-")
		}
	}
	return false, p.refuse("missing closing parenthesis")
}

// posixItem says whether an opening bracket, at which the parser stands,
// begins something like [:name:], and how long it is.
func (p *patternParser) posixItem() (int, bool) {
	rest := p.rest()
	if len(rest) < 2 || strings.IndexByte(":.=", rest[1]) < 0 {
		return 0, false
	}
	terminator := rest[1]
	for i := 2; i+1 < len(rest); i++ {
		switch c := rest[i]; {
		case c == '\\' && (rest[i+1] == ']' || rest[i+1] == '\\'):
			i++
		case c == ']' || c == '[' && rest[i+1] == terminator:
			return 0, false
		case c == terminator && rest[i+1] == ']':
			return i + 2, true
		}
	}
	return 0, false
}

// class reads a bracketed class.
func (p *patternParser) class(flags *patternFlags) (*node, error) {
	if p.has("[[:<:]]") || p.has("[[:>:]]") {
		return nil, p.undecided("word boundary in brackets")
	}
	if _, ok := p.posixItem(); ok {
		return nil, p.refuse("POSIX named classes are supported only within a class")
	}
	p.at++
	var s byteSet
	negated, first, quoted := false, true, false
	// previous is the literal that may begin a range, or -1.
	previous, ranging := -1, false
	for {
		if p.end() {
			return nil, p.refuse("missing terminating ] for character class")
		}
		c := p.peek()
		if p.has(`\E`) {
			quoted = false
			p.at += 2
			continue
		}
		if !quoted {
			if p.has(`\Q`) {
				quoted = true
				p.at += 2
				continue
			}
			if flags.extendedMore && (c == ' ' || c == '\t') {
				p.at++
				continue
			}
			if first && !negated && c == '^' {
				negated = true
				p.at++
				continue
			}
		}
		literal := int(c)
		switch {
		case quoted:
			p.at++
		case c == ']' && !first:
			p.at++
			if ranging {
				s.add('-')
			}
			if flags.caseless {
				s = s.folded()
			}
			if negated {
				s = s.not()
			}
			return &node{kind: nodeSet, set: s}, nil
		case c == '[':
			length, ok := p.posixItem()
			if !ok {
				p.at++
				break
			}
			item := p.expr[p.at+2 : p.at+length-2]
			if ranging {
				return nil, p.refuse("invalid range in character class")
			}
			if p.expr[p.at+1] != ':' {
				return nil, p.refuse("POSIX collating elements are not supported")
			}
			named := strings.TrimPrefix(item, "^")
			if flags.caseless && (named == "upper" || named == "lower") {
				named = "alpha"
			}
			set, ok := posixSet(named)
			if !ok {
				return nil, p.refuse("unknown POSIX class name")
			}
			if named != item && item[0] == '^' {
				set = set.not()
			}
			s.addSet(set)
			p.at += length
			literal = -1
		case c == '-' && previous >= 0 && !ranging:
			p.at++
			ranging = true
			continue
		case c == '\\':
			p.at++
			if p.end() {
				return nil, p.refuse(`\ at end of pattern`)
			}
			e := p.peek()
			if set, ok := escapedSet(e); ok {
				if ranging {
					return nil, p.refuse("invalid range in character class")
				}
				s.addSet(set)
				p.at++
				literal = -1
				break
			}
			if e == 'b' {
				p.at++
				literal = 8
				break
			}
			if e == 'p' || e == 'P' || e == 'N' && p.has("N{") {
				return nil, p.undecided(`\` + string(rune(e)))
			}
			value, err := p.escapedByte(true)
			if err != nil {
				return nil, err
			}
			literal = int(value)
		default:
			p.at++
		}
		first = false
		switch {
		case literal < 0:
			previous = -1
			if p.peek() == '-' && p.at+1 < len(p.expr) && p.expr[p.at+1] != ']' {
				return nil, p.refuse("invalid range in character class")
			}
		case ranging:
			if literal < previous {
				return nil, p.refuse("range out of order in character class")
			}
			s.addRange(byte(previous), byte(literal))
			previous, ranging = -1, false
		default:
			s.add(byte(literal))
			previous = literal
		}
	}
}

// checkBehind refuses a lookbehind of no limited length. One of a limited but
// not fixed length is undecided, for PCRE2 accepts it since 10.43.
func (p *patternParser) checkBehind(behind *node) error {
	p.at = 0
	for _, branch := range behind.branches() {
		length, verdict := branch.fixedLength()
		switch {
		case verdict == lengthUnlimited:
			return p.refuse("length of lookbehind assertion is not limited")
		case verdict == lengthUnknown || length > 200:
			return p.undecided("lookbehind of variable length")
		}
	}
	return nil
}

// branches are the alternatives at the top of a group.
func (n *node) branches() []*node {
	if body := n.kids[0]; body.kind == nodeAlternate {
		return body.kids
	}
	return n.kids
}

type lengthVerdict uint8

const (
	lengthFixed lengthVerdict = iota
	lengthUnknown
	lengthUnlimited
)

// fixedLength is the number of bytes that the node matches.
func (n *node) fixedLength() (int, lengthVerdict) {
	switch n.kind {
	case nodeAssert, nodeAhead, nodeBehind:
		return 0, lengthFixed
	case nodeSet:
		return 1, lengthFixed
	case nodeConcat, nodeCapture, nodeGroup, nodeAtomic:
		total, verdict := 0, lengthFixed
		for _, kid := range n.kids {
			length, v := kid.fixedLength()
			total += length
			if v == lengthUnknown {
				return 0, v
			}
			verdict = max(verdict, v)
		}
		return total, verdict
	case nodeAlternate:
		first, verdict := n.kids[0].fixedLength()
		for _, kid := range n.kids[1:] {
			length, v := kid.fixedLength()
			if v == lengthUnknown || length != first {
				return 0, lengthUnknown
			}
			verdict = max(verdict, v)
		}
		return first, verdict
	case nodeRepeat:
		length, verdict := n.kids[0].fixedLength()
		switch {
		case verdict != lengthFixed || n.max == 0 || length == 0 || length > 200 || n.mode == possessive:
			return 0, lengthUnknown
		case n.max == unlimited:
			return 0, lengthUnlimited
		case n.min == n.max && n.min <= 200:
			return length * n.min, lengthFixed
		}
	}
	return 0, lengthUnknown
}

// anchored says that the node matches only at the start of the subject.
func (n *node) anchored() bool {
	switch n.kind {
	case nodeAssert:
		return n.assert == opStart
	case nodeConcat:
		return len(n.kids) > 0 && n.kids[0].anchored()
	case nodeAlternate:
		for _, kid := range n.kids {
			if !kid.anchored() {
				return false
			}
		}
		return true
	case nodeCapture, nodeGroup, nodeAtomic:
		return n.kids[0].anchored()
	}
	return false
}

// doubtful says that PCRE2 10.42 and 10.46 may miss matches of the node, each
// of these by an optimization of its own:
//
//   - before an atomic or possessive group that can match nothing, backtracking
//     that is needed may be left out, as in "b?(a)?+b";
//   - with a reference inside its own group, subjects may be taken for too
//     short, as in "(abc|\1?)d";
//   - by a group that is repeated {0} times, the expression may be taken for
//     anchored, as in "(?:a|^b){0}c".
//
// The groups are those around the node.
func (n *node) doubtful(groups []int) bool {
	switch n.kind {
	case nodeRepeat:
		if n.max == 0 && n.kids[0].kind != nodeSet {
			return true
		}
		if n.mode == possessive && n.kids[0].kind != nodeSet && n.nullable() {
			return true
		}
	case nodeAtomic:
		if n.nullable() {
			return true
		}
	case nodeReference:
		return slices.Contains(groups, n.group)
	case nodeCapture:
		groups = append(groups, n.group)
	}
	for _, kid := range n.kids {
		if kid.doubtful(groups) {
			return true
		}
	}
	return false
}

// nullable says that the node may match without taking a byte.
func (n *node) nullable() bool {
	switch n.kind {
	case nodeSet:
		return false
	case nodeRepeat:
		return n.min == 0 || n.kids[0].nullable()
	case nodeAlternate:
		return slices.ContainsFunc(n.kids, (*node).nullable)
	case nodeConcat, nodeCapture, nodeGroup, nodeAtomic:
		return !slices.ContainsFunc(n.kids, func(kid *node) bool { return !kid.nullable() })
	}
	return true
}

// size is an upper estimate of the bytes that PCRE compiles the node to, and
// of the instructions that this package compiles it to.
func (n *node) size() int {
	const far = maxPatternSize + 1
	total := 8
	if n.kind == nodeSet {
		total = 2
		if n.set.count() > 2 {
			total = 40
		}
	}
	for _, kid := range n.kids {
		total += kid.size() + 4
	}
	if n.kind == nodeRepeat {
		copies := max(n.min, n.max, 1) + 1
		if total > far || copies > far {
			return far
		}
		total *= copies
	}
	return min(total, far)
}
