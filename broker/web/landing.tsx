import type { Answer } from '../http/answer.ts';
import { texts } from './texts.ts';
import type { OpenVisit } from './visit.ts';

/** `GET /`: what this is, and where one signs in. */
export function landingPage({ href, page, redirect, session, services }: OpenVisit): Answer {
  if (session !== undefined) return redirect('/ui/access');
  const { landing } = texts;
  const { web, issuers } = services.loaded.config;
  return page({
    title: landing.title,
    lead: landing.lead,
    body: (
      <div class="hero">
        <ul class="list">
          {landing.points.map((point) => (
            <li key={point}>{point}</li>
          ))}
        </ul>
        <div class="stack-tight">
          <div>
            <a class="button button-large" href={href('/ui/sign-in')}>
              {landing.signIn}
            </a>
          </div>
          <p class="soft small">{landing.at(new URL(issuers[web!.issuer]!.url!).host)}</p>
        </div>
      </div>
    ),
  });
}
