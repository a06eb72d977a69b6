// SPDX-License-Identifier: Apache-2.0

// Command pcre2corpus records what PCRE2 answers to regular expressions, so
// that the tests of package routing need no PCRE2.
//
// It is run by hand, with the pcre2test of each release that counts:
//
//	go run ./hack/pcre2corpus -out routing/testdata/pattern /usr/bin/pcre2test /opt/newer/pcre2test
//
// It writes handwritten.txt, of the expressions in seeds.txt, and
// generated.txt, of -n expressions made from -seed. In both, a line holds an
// expression in Go's quoting, "i" if it ignores case, and either "ok", an error
// number of the first release, or "differs" if one release accepts what another
// refuses. The indented lines below hold a subject and what the groups matched,
// "none", or "differs"; groups that took no part are empty.
//
// With -compare it writes nothing, and holds package routing to the answers.
// It fails if the package ever contradicts them and prints how often it was
// undecided.
package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/routegate/routegate/routing"
)

//go:embed testdata/seeds.txt
var seeds string

// question is an expression and the subjects to match it with.
type question struct {
	expr     string
	caseless bool
	subjects []string
}

// answer is what one release says: a result that is "ok" or an error number,
// and of each subject the groups, nil for no match, or limited.
type answer struct {
	result  string
	matches []match
}

type match struct {
	groups  []string
	limited bool
}

func main() {
	out := flag.String("out", "", "folder to write to")
	n := flag.Int("n", 2500, "number of generated expressions")
	seed := flag.Uint64("seed", 1, "seed of the generated expressions")
	compare := flag.Bool("compare", false, "compare with package routing instead of writing")
	flag.Parse()
	if flag.NArg() == 0 || (*out == "") == !*compare {
		fmt.Fprintln(os.Stderr, "usage: pcre2corpus -out FOLDER | -compare  PCRE2TEST...")
		os.Exit(2)
	}
	g := generator{rand.New(rand.NewPCG(*seed, 0))}
	var written, generated []question
	for line := range strings.Lines(seeds) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		expr, err := strconv.Unquote(`"` + strings.ReplaceAll(strings.ReplaceAll(line, `\`, `\\`), `"`, `\"`) + `"`)
		if err != nil {
			fail(err)
		}
		written = append(written, g.question(expr, false), g.question("^/"+expr, true))
	}
	for range *n {
		generated = append(generated, g.question(g.expression(), g.IntN(2) == 0))
	}
	for _, part := range []struct {
		name      string
		questions []question
	}{{"handwritten.txt", written}, {"generated.txt", generated}} {
		var answers [][]answer
		for _, tool := range flag.Args() {
			answered, err := ask(tool, part.questions)
			if err != nil {
				fail(err)
			}
			answers = append(answers, answered)
		}
		if *compare {
			compareAll(part.name, part.questions, answers)
			continue
		}
		if err := os.WriteFile(filepath.Join(*out, part.name), format(part.questions, answers), 0o644); err != nil {
			fail(err)
		}
	}
	if failed {
		os.Exit(1)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "pcre2corpus:", err)
	os.Exit(1)
}

// result merges what the releases say of an expression.
func result(answers [][]answer, i int) string {
	first := answers[0][i].result
	for _, a := range answers[1:] {
		if (a[i].result == "ok") != (first == "ok") {
			return "differs"
		}
	}
	return first
}

// matched merges what the releases say of a subject.
func matched(answers [][]answer, i, j int) (m match, differs bool) {
	m = answers[0][i].matches[j]
	for _, a := range answers[1:] {
		other := a[i].matches[j]
		if m.limited || other.limited || (m.groups == nil) != (other.groups == nil) || !slices.Equal(m.groups, other.groups) {
			return m, true
		}
	}
	return m, m.limited
}

func format(questions []question, answers [][]answer) []byte {
	var b bytes.Buffer
	for i, q := range questions {
		flag := "-"
		if q.caseless {
			flag = "i"
		}
		r := result(answers, i)
		fmt.Fprintf(&b, "%q\t%s\t%s\n", q.expr, flag, r)
		if r != "ok" {
			continue
		}
		for j, subject := range q.subjects {
			fmt.Fprintf(&b, "\t%q", subject)
			m, differs := matched(answers, i, j)
			switch {
			case differs:
				b.WriteString("\tdiffers")
			case m.groups == nil:
				b.WriteString("\tnone")
			}
			if !differs {
				for _, group := range m.groups {
					fmt.Fprintf(&b, "\t%q", group)
				}
			}
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

var failed bool

// compareAll holds package routing to the answers.
func compareAll(name string, questions []question, answers [][]answer) {
	count := map[string]int{}
	wrong := func(kind string, q question, format string, args ...any) {
		failed = true
		count[kind]++
		if count[kind] <= 15 {
			fmt.Printf("%s: %q caseless %v: %s\n", kind, q.expr, q.caseless, fmt.Sprintf(format, args...))
		}
	}
	for i, q := range questions {
		r := result(answers, i)
		p, err := routing.CompilePattern(q.expr, q.caseless)
		refused := new(routing.PatternError)
		switch {
		case errors.Is(err, routing.ErrPatternUndecided):
			count["undecided, PCRE "+map[bool]string{true: "ok", false: "refuses or differs"}[r == "ok"]]++
			continue
		case errors.As(err, &refused):
			count["refused"]++
			if r == "ok" || r == "differs" {
				wrong("WRONG refusal", q, "%v, PCRE says %s", err, r)
			}
			continue
		case r != "ok":
			wrong("WRONG acceptance", q, "PCRE says %s", r)
			continue
		}
		count["accepted"]++
		for j, subject := range q.subjects {
			want, differs := matched(answers, i, j)
			groups, ok, err := p.Match(subject)
			switch {
			case differs:
				count["subject limited or differing"]++
			case err != nil:
				count["subject undecided"]++
			case ok != (want.groups != nil) || ok && !slices.Equal(groups, want.groups):
				wrong("WRONG match", q, "on %q got %q %v, PCRE says %q", subject, groups, ok, want.groups)
			case ok:
				count["subject matched"]++
			default:
				count["subject not matched"]++
			}
		}
	}
	fmt.Println(name, len(questions), count)
}

var (
	failure = regexp.MustCompile(`^Failed: error (-?\d+)`)
	group   = regexp.MustCompile(`^ ?\d+: (.*)$`)
	escaped = regexp.MustCompile(`\\x[0-9a-f]{2}`)
)

// ask runs one pcre2test.
func ask(tool string, questions []question) ([]answer, error) {
	var in bytes.Buffer
	for _, q := range questions {
		in.WriteString("/" + hex.EncodeToString([]byte(q.expr)) + "/hex,parens_nest_limit=250")
		if q.caseless {
			in.WriteString(",caseless")
		}
		in.WriteByte('\n')
		for _, subject := range q.subjects {
			for _, c := range []byte(subject) {
				fmt.Fprintf(&in, `\x%02x`, c)
			}
			in.WriteString("\\=allcaptures,ovector=300,match_limit=50000\n")
		}
		in.WriteByte('\n')
	}
	cmd := exec.Command(tool, "-q")
	cmd.Stdin = &in
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tool, err)
	}
	var answers []answer
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		line := strings.TrimPrefix(lines.Text(), "data> ")
		line = strings.TrimPrefix(line, "  re> ")
		var at *answer
		if len(answers) > 0 {
			at = &answers[len(answers)-1]
		}
		f := failure.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "/"):
			answers = append(answers, answer{result: "ok"})
		case at == nil:
		case f != nil && !strings.HasPrefix(f[1], "-"):
			at.result = f[1]
		case strings.HasPrefix(strings.TrimSpace(line), `\`):
			at.matches = append(at.matches, match{})
		case f != nil:
			at.matches[len(at.matches)-1].limited = true
		default:
			if m := group.FindStringSubmatch(line); m != nil {
				text := m[1]
				if text == "<unset>" {
					text = ""
				}
				text = escaped.ReplaceAllStringFunc(text, func(s string) string {
					b, _ := hex.DecodeString(s[2:])
					return string(b)
				})
				last := &at.matches[len(at.matches)-1]
				last.groups = append(last.groups, text)
			}
		}
	}
	if len(answers) != len(questions) {
		return nil, fmt.Errorf("%s: %d answers to %d expressions", tool, len(answers), len(questions))
	}
	for i, q := range questions {
		if answers[i].result == "ok" && len(answers[i].matches) != len(q.subjects) {
			return nil, fmt.Errorf("%s: %d answers to %d subjects of %q", tool, len(answers[i].matches), len(q.subjects), q.expr)
		}
	}
	return answers, lines.Err()
}

type generator struct{ *rand.Rand }

func (g generator) pick(from []string) string { return from[g.IntN(len(from))] }

var (
	atoms = strings.Fields(`a b c A B ab / / 1 _ é \xe9 . . ^ $ \d \D \w \W \s \S \h \v \H \V \N \R \A \z \Z \b \B \G \K \. \/ \-
		\1 \2 \3 \g1 \g{2} \g{-1} \g{n} \k<n> \k{n} \k'n' (?P=n) \x41 \x{62} \o{101} \101 \012 \07 \12 \cA \t \n \e \Q.*\E \E \Q
		[a-c] [^/] [abc] [^a] [a-] [-a] []a] [^]a] [\d_] [\w-] [\w-a] [z-a] [[:alpha:]] [[:^digit:]] [^[:upper:]] [[:lower:]a] [[:nope:]]
		[\b] [\x41-\x43] [\101] [\8] [A-Z] [^B] [a\]b] [[] [[:a] [a-\d] [\Qa-b\E] [é] [.] [$] [a-a] [+--] [^\W] [\S] [ ] [ab
		(?i) (?-i) (?s) (?m) (?x) (?U) (?J) (?n) (?^) (?xx) (?i-s) (?#c) (?#c # \q \y \u \c \x{100} \777 { } ] , - {, {1 @ % ~ !`)
	quantifiers = strings.Fields(`* + ? *? +? ?? *+ ++ ?+ {2} {0,1} {1,} {0} {1,3} {2}? {2,}+ {1,2}+ {0,2}? {3,1} {,2} {0,} ** {70000} {2}{2} {a}`)
	openings    = strings.Fields(`( ( ( ( (?: (?: (?i: (?= (?! (?<= (?<! (?> (?<n> (?P<n> (?'n' (?<m> (?s-i: (?x: (?^: (?| (?n: (?<1> (? (?< (?P (?z: (*`)
	letters     = strings.Fields("a b c A B C ab abc / / 1 2 _ é \xe9 - . aa bb n X")
)

// expression makes one that is often valid, and often nearly so.
func (g generator) expression() string {
	expr := g.alternatives(g.IntN(4))
	if g.IntN(2) == 0 {
		expr = "^/" + expr
	}
	if g.IntN(8) == 0 && len(expr) > 1 {
		at := g.IntN(len(expr))
		switch g.IntN(3) {
		case 0:
			expr = expr[:at] + expr[at+1:]
		case 1:
			expr = expr[:at] + g.pick(strings.Split(`( ) [ ] { } * + ? \ | ^ $ - : < > ' = ! # & , P 0 1 9`, " ")) + expr[at:]
		default:
			expr = expr[:at]
		}
	}
	return strings.NewReplacer("\n", "", "\x00", "").Replace(expr)
}

func (g generator) alternatives(depth int) string {
	s := g.sequence(depth)
	for g.IntN(4) == 0 {
		s += "|" + g.sequence(depth)
	}
	return s
}

func (g generator) sequence(depth int) string {
	var b strings.Builder
	for range g.IntN(4) {
		if depth > 0 && g.IntN(3) == 0 {
			opening := g.pick(openings)
			if g.IntN(3) > 0 {
				opening = "("
			}
			b.WriteString(opening + g.alternatives(depth-1))
			if g.IntN(50) > 0 {
				b.WriteByte(')')
			}
		} else if g.IntN(2) == 0 {
			b.WriteString(g.pick(atoms[:6]))
		} else {
			b.WriteString(g.pick(atoms))
		}
		if g.IntN(3) == 0 {
			b.WriteString(g.pick(quantifiers[:6+g.IntN(len(quantifiers)-5)]))
		}
		if g.IntN(30) == 0 {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// question adds subjects: some made of letters, some of the expression itself.
func (g generator) question(expr string, caseless bool) question {
	q := question{expr: expr, caseless: caseless}
	plain := strings.Map(func(r rune) rune {
		if strings.ContainsRune(`\()[]{}*+?|^$<>=:!`, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(expr, ""))
	q.subjects = append(q.subjects, plain, "/"+strings.ToUpper(plain))
	for range 4 {
		var b strings.Builder
		if g.IntN(2) == 0 {
			b.WriteByte('/')
		}
		for range g.IntN(7) {
			b.WriteString(g.pick(letters))
		}
		if g.IntN(12) == 0 {
			b.WriteString("\n")
		}
		q.subjects = append(q.subjects, b.String())
	}
	return q
}
