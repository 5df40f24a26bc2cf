import type { Readable } from 'node:stream';
import { systemReason } from '../../shared/read-file.ts';
import { isObject, parseObject } from '../../shared/json.ts';
import { asText, clean } from '../../shared/text.ts';
import { type Said, textOf } from './describe.ts';
import { withoutPrefix } from './entries.ts';
import { mergeLines } from './merge.ts';
import { openSource, type Source } from './source.ts';
import type { MintedToken } from './trace.ts';

/** A request to an API server, as its audit log has it (audit.k8s.io/v1 Event). */
export interface ApiRequest {
  /** RFC 3339, when it came. */
  readonly time: string;
  readonly verb: string;
  /** namespace/resource.group/name/subresource, or the path of what is no resource. */
  readonly target: string;
  /** Undefined: the log has no answer to it. */
  readonly status: number | undefined;
  readonly from: string;
  readonly agent: string;
  readonly user: string;
  /** Whom it impersonated. */
  readonly as: string | undefined;
  /** `token`: it names the token. `account`: it names the account alone, which other tokens are for too. */
  readonly by: 'token' | 'account';
  readonly level: string;
}

export interface Use {
  /** By their times; at most so many, `more` is the number of the others. */
  readonly requests: readonly ApiRequest[];
  readonly more: number;
  /** The API server's own event of making the token. */
  readonly issued: boolean;
  readonly log: LogCoverage;
}

export interface LogCoverage {
  /** Events of an API server, of anybody. */
  events: number;
  from: string | undefined;
  to: string | undefined;
  /** Some event names the token that it was made with: 1.30 and later. */
  namesTokens: boolean;
  faults: number;
}

export interface UseOptions {
  readonly stdin: Readable;
  readonly signal: AbortSignal;
  readonly onFault: (message: string) => void;
}

/** Of one event; levels with bodies hold whole objects. */
const maxLine = 16 * 1024 * 1024;
const maxRequests = 50_000;
/** Requests whose end has not come yet. */
const maxOpen = 10_000;
const credential = 'authentication.kubernetes.io/credential-id';
const issuedCredential = 'authentication.kubernetes.io/issued-credential-id';

/** What the logs of API servers say of tokens. Memory holds what is found alone. Throws what opening throws. */
export async function findUse(
  tokens: readonly MintedToken[],
  files: readonly string[],
  { stdin, signal, onFault }: UseOptions,
): Promise<Use> {
  const log: LogCoverage = { events: 0, from: undefined, to: undefined, namesTokens: false, faults: 0 };
  const fault = (message: string): void => {
    log.faults += 1;
    onFault(message);
  };
  const judge = createJudge(tokens);
  const found: ApiRequest[] = [];
  const open = new Map<string, ApiRequest>();
  let more = 0;
  let issued = false;
  const keep = (request: ApiRequest): void => {
    if (found.length < maxRequests) found.push(request);
    else more += 1;
  };

  const take = (event: Said): void => {
    issued ||= judge.isIssue(event);
    const by = judge.by(event);
    if (by === undefined) return;
    const request = describeEvent(event, by);
    const [id, stage] = [textOf(event, 'auditID', 80), textOf(event, 'stage', 40)];
    const ended = stage === 'ResponseComplete' || stage === 'Panic';
    if (ended || id === '' || open.size >= maxOpen) {
      open.delete(id);
      keep(request);
    } else open.set(id, request);
  };

  const sources: Source[] = [];
  try {
    for (const file of files) sources.push(await openSource(file, { stdin, maxLine }));
    const onBroken = (file: string, error: Error) =>
      fault(`${clean(file, 400)}: cannot be read to its end: ${systemReason(error)}`);
    for await (const { text: raw, file, number, time } of mergeLines(sources, { timeOf, signal, onFault: onBroken })) {
      const text = withoutPrefix(raw);
      if (!text.includes('audit.k8s.io/')) continue;
      log.events += 1;
      if (time !== '' && (log.from === undefined || time < log.from)) log.from = time;
      if (time !== '' && (log.to === undefined || time > log.to)) log.to = time;
      log.namesTokens ||= text.includes(`"${credential}"`);
      if (!judge.mayBe(text)) continue;
      const event = text.length > maxLine ? undefined : parseObject(text);
      if (event === undefined) fault(`${clean(file, 400)}:${number}: half a line of an API server's audit`);
      else for (const each of eventsOf(event)) take(each);
    }
  } finally {
    for (const source of sources) await source.close();
  }
  for (const request of open.values()) keep(request);
  found.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0));
  return { requests: found, more, issued, log };
}

/** Whether events are of these tokens. */
function createJudge(tokens: readonly MintedToken[]) {
  const ids = new Set(tokens.map(({ jti }) => `JTI=${jti}`));
  const users = new Map<string, MintedToken[]>();
  for (const token of tokens) {
    if (token.account === '') continue;
    const name = `system:serviceaccount:${token.account.replace('/', ':')}`;
    users.set(name, [...(users.get(name) ?? []), token]);
  }
  const needles = [...tokens.map(({ jti }) => jti), ...users.keys()];
  return {
    /** Cheap, and never false for one that `by` or `isIssue` would take. */
    mayBe: (text: string): boolean => needles.some((needle) => text.includes(needle)),
    isIssue({ annotations }: Said): boolean {
      return isObject(annotations) && ids.has(asText(annotations[issuedCredential]));
    },
    by({ user, requestReceivedTimestamp }: Said): ApiRequest['by'] | undefined {
      if (!isObject(user)) return undefined;
      const named = isObject(user['extra']) ? user['extra'][credential] : undefined;
      if (Array.isArray(named)) return named.some((each) => ids.has(asText(each))) ? 'token' : undefined;
      // The account, while the token lived. Clocks of two machines differ by some seconds.
      const at = Date.parse(asText(requestReceivedTimestamp));
      const lived = (users.get(asText(user['username'])) ?? []).some(
        ({ minted, expires }) => at >= Date.parse(minted) - 5000 && at <= Date.parse(expires) + 5000,
      );
      return lived ? 'account' : undefined;
    },
  };
}

/** An event, or the list of them that a webhook takes. */
function eventsOf(value: Said): readonly Said[] {
  const { items } = value;
  return value['kind'] === 'EventList' && Array.isArray(items) ? items.filter(isObject) : [value];
}

function describeEvent(event: Said, by: ApiRequest['by']): ApiRequest {
  const part = (name: string): Said => (isObject(event[name]) ? event[name] : {});
  const { code } = part('responseStatus');
  const { sourceIPs } = event;
  const impersonated = textOf(part('impersonatedUser'), 'username');
  return {
    time: textOf(event, 'requestReceivedTimestamp', 40),
    verb: textOf(event, 'verb', 20),
    target: targetOf(event, part('objectRef')),
    status: typeof code === 'number' ? code : undefined,
    from: Array.isArray(sourceIPs) ? clean(sourceIPs.slice(0, 3).join(' '), 100) : '',
    agent: textOf(event, 'userAgent', 100),
    user: textOf(part('user'), 'username'),
    as: impersonated === '' ? undefined : impersonated,
    by,
    level: textOf(event, 'level', 20),
  };
}

function targetOf(event: Said, ref: Said): string {
  const of = (name: string) => textOf(ref, name);
  const group = of('apiGroup');
  const resource = `${of('resource')}${group === '' ? '' : `.${group}`}`;
  if (of('resource') === '') return textOf(event, 'requestURI');
  return [of('namespace'), resource, of('name'), of('subresource')].filter(Boolean).join('/');
}

/** Without reading all of it. */
function timeOf(line: string): string | undefined {
  return /"stageTimestamp":"(\d{4}-\d\d-\d\dT[\d:.]{8,18}Z)"/.exec(line)?.[1];
}
