// SPDX-License-Identifier: Apache-2.0

// Package browser_test opens the pages of "routegate audit -o html" in Chromium.
//
// With the variable SCREENSHOTS, a folder, the specs leave there what the page looks like.
package browser_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/routegate/routegate/e2e/stack"
	"github.com/routegate/routegate/internal/cluster"
	"github.com/routegate/routegate/internal/manifests"
	"github.com/routegate/routegate/routing"
)

func TestBrowser(t *testing.T) {
	RegisterFailHandler(Fail)
	for _, program := range programs {
		path, err := exec.LookPath(program)
		if err == nil {
			chromium = path
			break
		}
		if !errors.Is(err, exec.ErrNotFound) {
			t.Fatal(err)
		}
	}
	if chromium == "" {
		const missing = "there is no Chromium in PATH; install it (Debian: apt-get install chromium) to run the specs of the html page"
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	suite, reporter := GinkgoConfiguration()
	// Before go test gives up and leaves processes behind.
	suite.Timeout = 10 * time.Minute
	RunSpecs(t, "Pages in a browser", suite, reporter)
}

const (
	// patience is how long the page may take to follow its user.
	patience = 30 * time.Second
	// session is how long a spec may use its browser.
	session = 3 * time.Minute
)

// programs are the names under which Chromium is installed.
var programs = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// What all specs share.
var (
	chromium  string
	routegate string
	// now is when the clusters are looked at.
	now = time.Date(2026, time.November, 21, 0, 0, 0, 0, time.UTC)
)

var _ = BeforeSuite(func(ctx SpecContext) {
	var err error
	routegate, err = stack.Binary(ctx, GinkgoT().TempDir())
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(5*time.Minute))

// sample is the cluster of testdata, with a certificate that is valid and one that has
// expired.
func sample() *cluster.Static {
	GinkgoHelper()
	static, err := manifests.Load(manifests.Options{
		FilenameOptions: resource.FilenameOptions{Filenames: []string{"testdata/cluster.yaml"}}, Now: now,
	})
	Expect(err).NotTo(HaveOccurred())
	Expect(static.Apply(certificate("shop", "shop-cert", "shop.example.com", now.AddDate(0, 2, 0)))).To(Succeed())
	Expect(static.Apply(certificate("shop", "basket-cert", "basket.shop.example.com", now.AddDate(0, 0, -3)))).To(Succeed())
	static.Cover(routing.Ref{Kind: routing.Secrets}, routing.Coverage{Read: true})
	return static
}

// certificate is a Secret with a certificate for the host.
func certificate(namespace, name, host string, until time.Time) *corev1.Secret {
	GinkgoHelper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: until.AddDate(0, -3, 0), NotAfter: until}
	crt, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	Expect(err).NotTo(HaveOccurred())
	key, err := x509.MarshalPKCS8PrivateKey(private)
	Expect(err).NotTo(HaveOccurred())
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: crt}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
		},
	}
}

// audit saves the cluster, has routegate audit it, and returns the address of the page.
func audit(ctx SpecContext, static *cluster.Static) string {
	GinkgoHelper()
	folder := GinkgoT().TempDir()
	snapshot, err := os.Create(filepath.Join(folder, "cluster.json"))
	Expect(err).NotTo(HaveOccurred())
	Expect(errors.Join(static.WriteFile(snapshot), snapshot.Close())).To(Succeed())
	page, err := os.Create(filepath.Join(folder, "audit.html"))
	Expect(err).NotTo(HaveOccurred())
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, routegate, "audit", "--snapshot", "cluster.json", "--fail-on=none", "--output=html")
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, page, &stderr
	Expect(errors.Join(cmd.Run(), page.Close())).To(Succeed(), stderr.String())
	return "file://" + page.Name()
}

// tab is a browser with one page.
type tab struct {
	context.Context

	mutex sync.Mutex
	// faults are what the page's console says, and what it loads beside itself.
	faults []string
}

// browse starts a browser for the spec. Whatever its console says makes the spec fail.
func browse(ctx SpecContext) *tab {
	GinkgoHelper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium),
		// No name leads anywhere.
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		// Its sandbox does not work for root.
		options = append(options, chromedp.NoSandbox)
	}
	soon, over := context.WithTimeout(ctx, session)
	DeferCleanup(over)
	allocator, stop := chromedp.NewExecAllocator(soon, options...)
	browser, cancel := chromedp.NewContext(allocator)
	DeferCleanup(stop)
	DeferCleanup(cancel)
	t := &tab{Context: browser}
	DeferCleanup(func() {
		t.mutex.Lock()
		defer t.mutex.Unlock()
		Expect(t.faults).To(BeEmpty())
	})
	Expect(chromedp.Listen(browser, t.listen)).To(Succeed())
	send(t, log.Enable, cdp.Empty{})
	send(t, network.Enable, network.EnableParams{})
	return t
}

func (t *tab) listen(event any) {
	fault := ""
	switch event := event.(type) {
	case *runtime.EventConsoleAPICalled:
		fault = fmt.Sprintf("console: %s", event.Type)
	case *runtime.EventExceptionThrown:
		fault = "exception: " + event.ExceptionDetails.Text
	case *log.EventEntryAdded:
		fault = fmt.Sprintf("%s: %s", event.Entry.Level, event.Entry.Text)
	case *network.EventRequestWillBeSent:
		if event.Request.URL != event.DocumentURL && event.Request.URL != "data:," {
			fault = "loads " + event.Request.URL
		}
	}
	if fault != "" {
		t.mutex.Lock()
		defer t.mutex.Unlock()
		t.faults = append(t.faults, fault)
	}
}

// do has the browser do something.
func (t *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	GinkgoHelper()
	Expect(chromedp.Do(t, steps...)).To(Succeed())
}

// send sends a command of the protocol.
func send[P, R any](t *tab, command cdp.Command[P, R], params P) R {
	GinkgoHelper()
	got, err := chromedp.Call(t, command, params)
	Expect(err).NotTo(HaveOccurred())
	return got
}

// value is that of an expression in the page.
func value[T any](t *tab, expression string) T {
	GinkgoHelper()
	got, err := chromedp.Run(t, chromedp.Evaluate[T](expression))
	Expect(err).NotTo(HaveOccurred())
	return got
}

// look leaves a picture of the whole page where pictures are wanted.
func (t *tab) look(name string) {
	GinkgoHelper()
	folder := os.Getenv("SCREENSHOTS")
	if folder == "" {
		return
	}
	// What is outside of the window may not be drawn.
	t.do(chromedp.EmulateViewport(value[int64](t, "innerWidth"), value[int64](t, "document.documentElement.scrollHeight")))
	picture, err := chromedp.Run(t, chromedp.FullScreenshot(100))
	Expect(err).NotTo(HaveOccurred())
	Expect(os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644)).To(Succeed())
}
