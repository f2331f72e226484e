package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// certificateWatch is how often it is told that a certificate ends soon.
const certificateWatch = 24 * time.Hour

// certificates tells how long certificates are valid: as a metric, and in the
// journal once a day when one of them ends soon. One worker of a host tells.
func (o *observation) certificates(ctx context.Context, c *config.Config, log *slog.Logger) {
	files := certificateFiles(c)
	if len(files) == 0 {
		return
	}
	telemetry.CertificateDays(o.metrics.Registerer, func() []telemetry.CertificateEnd {
		var list []telemetry.CertificateEnd
		for _, cert := range report.ReadCertificates(time.Now(), files...) {
			if !cert.End.IsZero() {
				list = append(list, telemetry.CertificateEnd{Subject: cert.Subject, File: cert.File, Days: time.Until(cert.End).Hours() / 24})
			}
		}
		return list
	})
	if processName("1") != "1" {
		return
	}
	ticker := time.NewTicker(certificateWatch)
	defer ticker.Stop()
	for {
		for _, cert := range report.ReadCertificates(time.Now(), files...) {
			if cert.Light != report.Green {
				log.WarnContext(ctx, "certificate ends soon", "subject", cert.Subject, "file", cert.File, "days", cert.Days, "remedy", cert.Remedy)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
