import { createHash } from 'node:crypto';
import { type Answer, json } from '../http/answer.ts';
import type { Call } from '../http/request.ts';
import type { Services } from '../service/services.ts';

interface Made {
  readonly publicUrl: string;
  readonly answer: Answer;
  readonly etag: string;
}

/** Read when somebody asks for it first. */
let made: Promise<Made> | undefined;

/** `GET /openapi.json`: what there is to call, for machines. Whoever has it asks by its hash whether it is another. */
export async function openApi(call: Call, { loaded: { config } }: Services): Promise<Answer> {
  const { publicUrl } = config;
  if ((await made)?.publicUrl !== publicUrl) made = make(publicUrl);
  const { answer, etag } = await made!;
  return namesTag(call.header('if-none-match'), etag) ? { ...answer, status: 304, body: '' } : answer;
}

async function make(publicUrl: string): Promise<Made> {
  // What `npm run generate` made of broker/contract: to make it here would divide what a broker loads at its start.
  const { default: document } = await import('../../docs/openapi.json', { with: { type: 'json' } });
  const answer = json({ ...document, servers: [{ url: publicUrl }] });
  const etag = `"${createHash('sha256').update(answer.body).digest('base64url')}"`;
  return { publicUrl, etag, answer: { ...answer, headers: { ETag: etag }, cache: 'public, no-cache' } };
}

/** RFC 9110 section 13.1.2: compared without looking at whether a tag is weak. */
function namesTag(asked = '', etag: string): boolean {
  return asked.split(',').some((each) => ['*', etag].includes(each.trim().replace(/^W\//, '')));
}
