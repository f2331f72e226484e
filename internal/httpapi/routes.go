package httpapi

import "net/http"

// routes lists every operation. Of the routes of one path the one that clients
// of the old service know comes first.
func routes() []route {
	const (
		get, post, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
		upload                = jsonBody | certificate | contentType | accept
	)
	return []route{
		{get, "/v1/liveness", accept | instant, (*API).v1Liveness},
		{get, "/v1/health", accept, (*API).v1Health},
		{get, "/v1/whoami", certificate | accept, (*API).whoami},
		{post, "/v1/arcs", upload, (*API).submitV1},
		{get, "/v1/tasks/{task_id}", accept, (*API).taskV1},

		{get, "/v2/health", accept, (*API).v2Health},
		{post, "/v2/arcs", upload, (*API).submitV2},
		{get, "/v2/tasks/{task_id}", accept, (*API).taskV2},

		{get, "/v3/liveness", accept | instant, (*API).v3Liveness},
		{get, "/v3/readiness", accept, (*API).v3Readiness},
		{get, "/v3/health", accept, (*API).v3Health},
		{get, "/v3/version", accept, (*API).version},

		{post, "/v3/arcs", upload, (*API).submitARC},
		{get, "/v3/arcs", certificate | accept, (*API).listARCs},
		{post, "/v3/arcs/validate", upload, (*API).validateARC},
		{get, "/v3/arcs/{arc_id}", certificate | accept, (*API).getARC},
		{get, "/v3/arcs/{arc_id}/content", certificate, (*API).arcContent},
		{get, "/v3/arcs/{arc_id}/events", certificate | accept, (*API).arcEventsAfter},
		{get, "/v3/arcs/{arc_id}/report", certificate | accept, (*API).arcReport},
		{post, "/v3/arcs/{arc_id}/sync", certificate | accept, (*API).syncARC},

		{post, "/v3/harvests", upload, (*API).beginHarvest},
		{get, "/v3/harvests", certificate | accept, (*API).listHarvests},
		{get, "/v3/harvests/{harvest_id}", certificate, (*API).getHarvest},
		{patch, "/v3/harvests/{harvest_id}", jsonBody | certificate | contentType | stream, (*API).patchHarvest},
		{del, "/v3/harvests/{harvest_id}", certificate | stream, (*API).cancelHarvest},
		{post, "/v3/harvests/{harvest_id}/complete", certificate | stream, (*API).completeHarvest},
		{post, "/v3/harvests/{harvest_id}/arcs", jsonBody | bulkBody | certificate, (*API).submitInHarvest},
		{get, "/v3/harvests/{harvest_id}/arcs", certificate | accept, (*API).harvestARCs},
		{post, "/v3/harvests/{harvest_id}/diff", upload, (*API).diffHarvest},
		{get, "/v3/harvests/{harvest_id}/events", certificate | stream, (*API).harvestProgress},
		{get, "/v3/harvests/{harvest_id}/receipt", certificate | stream, (*API).harvestReceipt},

		{get, "/openapi.json", 0, (*API).openapi},
		{get, "/docs", 0, (*API).docsPage},
		{get, "/docs/{asset}", 0, (*API).docsAsset},
		{get, "/redoc", 0, (*API).docsPage},
	}
}
