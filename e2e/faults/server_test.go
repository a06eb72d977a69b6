// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/routegate/routegate/e2e/stack"
)

var _ = Describe("What is not a review of an Ingress", func() {
	It("is refused with a text that says why", func(ctx SpecContext) {
		g := startGate(ctx, "bodies", gateOptions{})
		const asJSON = "application/json"
		const pod = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","operation":"CREATE",` +
			`"kind":{"group":"","version":"v1","kind":"Pod"}}}`
		cases := []struct {
			contentType string
			body        []byte
			status      int
			words       string
		}{
			{asJSON, bytes.Repeat([]byte{' '}, 7<<20), http.StatusRequestEntityTooLarge, "body: must be at most "},
			{asJSON, []byte(pod[:len(pod)/2]), http.StatusBadRequest, "body: not an AdmissionReview: "},
			{asJSON, []byte(pod), http.StatusBadRequest, "request.kind: is Pod of /v1: must be Ingress of networking.k8s.io/v1"},
			{asJSON, []byte(`{"apiVersion":"v1","kind":"Pod"}`), http.StatusBadRequest, `body: is "Pod" of "v1": must be AdmissionReview of`},
			{asJSON, nil, http.StatusBadRequest, "body: must be an AdmissionReview, is empty"},
			{"text/plain", []byte(pod), http.StatusUnsupportedMediaType, `content type "text/plain": must be application/json`},
			{"", []byte(pod), http.StatusUnsupportedMediaType, `content type "": must be application/json`},
		}
		for _, http2 := range []bool{false, true} {
			c := g.newClient(clientOptions{http2: http2})
			for range 5 {
				for _, t := range cases {
					status, answer, err := c.send(ctx, "?timeout=5s", t.contentType, t.body)
					Expect(err).NotTo(HaveOccurred(), t.words)
					Expect(status).To(Equal(t.status), answer)
					Expect(answer).To(ContainSubstring(t.words))
				}
			}
			resp, err := c.review(ctx, "?timeout=5s", g.ingress("bad", "gone"))
			Expect(err).NotTo(HaveOccurred())
			Expect(resp.Allowed).To(BeFalse(), "it goes on working")
		}
	})
})

var _ = Describe("Being told to stop", func() {
	readyz := func(ctx SpecContext, g *gate) func() (string, error) {
		return func() (string, error) {
			_, body, err := stack.Get(ctx, g.HealthURL+"/readyz")
			return body, err
		}
	}

	It("fails no request under load before clients have gone", func(ctx SpecContext) {
		g := startGate(ctx, "load", gateOptions{drainTime: 3 * time.Second})
		// removed is what an endpoint controller does once /readyz fails.
		var removed atomic.Bool
		var answered atomic.Int64
		const afterwards = 20
		ways := []clientOptions{{}, {http2: true}, {once: true}, {http2: true, once: true}}
		failures := make(chan []error)
		const clients = 8
		for i := range clients {
			c := g.newClient(ways[i%len(ways)])
			good, bad := g.ingress("good", "web"), g.ingress("bad", "gone")
			go func() {
				var failed []error
				for n, left := 0, afterwards; left > 0; n++ {
					if removed.Load() {
						left--
					}
					ing := good
					if n%2 == 1 {
						ing = bad
					}
					resp, err := c.review(ctx, "?timeout=5s", ing)
					if err == nil && resp.Allowed != (ing == good) {
						err = fmt.Errorf("%s: allowed is %t", ing.Name, resp.Allowed)
					}
					if err != nil {
						failed = append(failed, err)
					}
					answered.Add(1)
				}
				failures <- failed
			}()
		}
		Eventually(ctx, answered.Load).WithTimeout(patience).Should(BeNumerically(">", 200))
		Expect(g.Terminate()).To(Succeed())
		Eventually(ctx, readyz(ctx, g)).Should(Equal("stopping\n"))
		removed.Store(true)
		var failed []error
		for range clients {
			failed = append(failed, <-failures...)
		}
		Expect(failed).To(BeEmpty(), "of %d", answered.Load())
		Expect(g.Done()).NotTo(BeClosed(), "it was still draining")
		AddReportEntry("requests, none of which failed", answered.Load())
		Eventually(ctx, g.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(g.Stop()).To(Succeed(), "it ended with status 0")
	})

	It("answers what it has accepted after it has closed its listener", func(ctx SpecContext) {
		g := startGate(ctx, "held", gateOptions{drainTime: time.Second})
		g.proxy.Reads.Shut()
		DeferCleanup(g.proxy.Reads.Open)
		type answer struct {
			*admissionv1.AdmissionResponse
			err error
		}
		ways := []clientOptions{{}, {http2: true}}
		answers := make(chan answer, 2*len(ways))
		ask := func() {
			for _, way := range ways {
				c, ing := g.newClient(way), g.ingress("bad", "gone")
				go func() {
					resp, err := c.review(ctx, "?timeout=30s", ing)
					answers <- answer{resp, err}
				}()
			}
		}
		// Each denial rests on the Namespace, the IngressClass and the Service.
		const reads = 3
		ask()
		Eventually(ctx, g.proxy.Reads.Held).Should(Equal(reads * len(ways)))
		Expect(g.Terminate()).To(Succeed())
		Eventually(ctx, readyz(ctx, g)).Should(Equal("stopping\n"))
		ask()
		Eventually(ctx, g.proxy.Reads.Held).Should(Equal(reads * cap(answers)))

		address, err := url.Parse(g.URL)
		Expect(err).NotTo(HaveOccurred())
		Eventually(ctx, func() error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address.Host)
			if err == nil {
				err = conn.Close()
			}
			return err
		}).WithTimeout(patience).Should(Satisfy(func(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }))
		Expect(answers).To(BeEmpty())
		g.proxy.Reads.Open()
		for range cap(answers) {
			a := <-answers
			Expect(a.err).NotTo(HaveOccurred())
			Expect(a.Allowed).To(BeFalse())
			Expect(a.Result.Message).To(ContainSubstring("(service-missing)"))
		}
		Eventually(ctx, g.Done()).WithTimeout(patience).Should(BeClosed())
		Expect(g.Stop()).To(Succeed(), "it ended with status 0")
	})
})
