package main

import (
	"encoding/json"
	"os"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// percentiles of a latency run, in milliseconds.
type percentiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// result is the one line that a run prints.
type result struct {
	// Records that were published, or delivered where there are several readers.
	Records int     `json:"records"`
	Seconds float64 `json:"seconds"`
	// The sum of the bytes that the readers touched; it keeps the reading from being left out.
	Touched   uint64       `json:"touched"`
	LatencyMs *percentiles `json:"latencyMs,omitempty"`
}

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, 120_000_000_000, 3) }

func report(records int, start time.Time, touched uint64) {
	print(result{Records: records, Seconds: time.Since(start).Seconds(), Touched: touched})
}

func reportLatency(records int, seconds float64, touched uint64, h *hdrhistogram.Histogram) {
	ms := func(quantile float64) float64 { return float64(h.ValueAtQuantile(quantile)) / 1e6 }
	print(result{records, seconds, touched, &percentiles{ms(50), ms(90), ms(99), ms(99.9), ms(100)}})
}

func print(r result) { must(json.NewEncoder(os.Stdout).Encode(r)) }
