import type { KleisError } from '../../shared/errors.ts';
import type { Call } from '../http/request.ts';
import { Card, Facts, Words } from './view/components.tsx';
import { texts } from './view/texts.ts';
import type { Content } from './view/visit.ts';

/** What is wrong, as a page: what happened, what to do, and by what the log knows it. */
export function faultContent(
  { code, message, hint, status }: KleisError,
  { requestId }: Pick<Call, 'requestId'>,
  { signIn, start, again }: { readonly signIn: boolean; readonly start: string; readonly again: string },
): Content {
  const { fault } = texts;
  return {
    title: fault.title(status),
    lead: message,
    status,
    body: (
      <Card title={fault.next}>
        <p>
          <Words text={hint} />
        </p>
        <div class="row">
          {signIn && (
            <a class="button" href={again}>
              {fault.signIn}
            </a>
          )}
          <a class={signIn ? 'button button-plain' : 'button'} href={start}>
            {fault.start}
          </a>
        </div>
        <Facts
          wide
          facts={[
            [fault.code, <code>{code}</code>],
            [fault.request, <code>{requestId}</code>],
          ]}
        />
      </Card>
    ),
  };
}
