package gitlab

import (
	"context"
	"time"

	gl "gitlab.com/gitlab-org/api/client-go/v2"

	"github.com/fairagro/middleware-api/internal/remote"
)

// token asks GitLab about the token that we use
// (https://docs.gitlab.com/api/personal_access_tokens/#self-inform). Group and
// project access tokens are answered for as well.
func (c *client) token(ctx context.Context) (remote.Token, error) {
	t, err := asked(ctx, c, func(o gl.RequestOptionFunc) (*gl.PersonalAccessToken, *gl.Response, error) {
		return c.api.PersonalAccessTokens.GetSinglePersonalAccessToken(o)
	})
	if err != nil {
		return remote.Token{}, c.failure(err)
	}
	out := remote.Token{Name: t.Name, Scopes: t.Scopes}
	if t.ExpiresAt != nil {
		out.Expires = time.Time(*t.ExpiresAt)
	}
	return out, nil
}
