import { badRequest } from './status.ts';

/** kubectl sends reviews, and nothing else, in this form; it takes JSON for an answer. */
export const protobufType = 'application/vnd.kubernetes.protobuf';

/** A name for each field number; a message, or (the name alone) text. */
interface Fields {
  readonly [number: number]: string | readonly [name: string, fields: Fields];
}

// k8s.io/apimachinery/pkg/runtime/generated.proto and k8s.io/api/authorization/v1/generated.proto
const typeMeta: Fields = { 1: 'apiVersion', 2: 'kind' };
const resourceAttributes: Fields = {
  1: 'namespace',
  2: 'verb',
  3: 'group',
  4: 'version',
  5: 'resource',
  6: 'subresource',
  7: 'name',
};
const bodies: Readonly<Record<string, Fields>> = {
  SelfSubjectReview: {},
  SelfSubjectAccessReview: {
    2: [
      'spec',
      { 1: ['resourceAttributes', resourceAttributes], 2: ['nonResourceAttributes', { 1: 'path', 2: 'verb' }] },
    ],
  },
};

const magic = Buffer.from('k8s\0');

/** A review as an object; throws 400 for everything else. */
export function decodeReview(body: Buffer): Record<string, unknown> {
  if (!body.subarray(0, 4).equals(magic)) throw badRequest('the body of the request is not Kubernetes protobuf');
  const unknown = new Map(fieldsOf(body.subarray(4)));
  const meta = toObject(unknown.get(1) ?? Buffer.alloc(0), typeMeta);
  const fields = bodies[String(meta['kind'])];
  if (fields === undefined) throw badRequest(`the stand-in reads no ${String(meta['kind'])} in protobuf`);
  return { ...meta, ...toObject(unknown.get(2) ?? Buffer.alloc(0), fields) };
}

function toObject(message: Buffer, fields: Fields): Record<string, unknown> {
  const entries = fieldsOf(message).flatMap(([number, bytes]) => {
    const field = fields[number];
    if (field === undefined) return [];
    return [typeof field === 'string' ? [field, bytes.toString()] : [field[0], toObject(bytes, field[1])]];
  });
  return Object.fromEntries(entries) as Record<string, unknown>;
}

/** The fields of wire type 2 (a length, then bytes): text and messages, which is all that reviews have. */
function fieldsOf(message: Buffer): [number: number, bytes: Buffer][] {
  const found: [number, Buffer][] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = message[at];
      if (byte === undefined) throw badRequest('the body of the request ends too early');
      at += 1;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw badRequest('a number in the body of the request is too large');
  };
  while (at < message.length) {
    const tag = varint();
    if ((tag & 7) === 0) varint();
    else if ((tag & 7) === 2) {
      const length = varint();
      found.push([tag >> 3, message.subarray(at, at + length)]);
      at += length;
    } else throw badRequest('the body of the request has a field that no review has');
  }
  return found;
}
