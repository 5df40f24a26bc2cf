import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { openApi } from '../../broker/contract/openapi.ts';
import { isObject } from '../../shared/json.ts';

type Json = Readonly<Record<string, unknown>>;

/** One operation of docs/openapi.json, with what it refers to in its place. */
export interface Described {
  /** `POST /token` */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly id: string;
  readonly bearer: 'never' | 'optional' | 'required';
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly example?: unknown }[];
  /** Of its form. */
  readonly form: Readonly<Record<string, unknown>> | undefined;
  readonly answers: Readonly<Record<string, DescribedAnswer>>;
}

export interface DescribedAnswer {
  readonly headers: Readonly<Record<string, unknown>>;
  readonly type: string | undefined;
  readonly example: unknown;
}

export const document = openApi();
const ajv = new Ajv2020({ strictTypes: false, strictRequired: false, allErrors: true });
formats.default(ajv);
// What OpenAPI says of schemas beside JSON Schema, and a document whose parts are schemas without being one.
ajv.addVocabulary(['example', 'components']);
ajv.addSchema({ $id: 'openapi', components: { schemas: closed(at('#/components/schemas')) } });

/** What stands at a place of the document. */
function at(pointer: string): unknown {
  return pointer
    .slice(2)
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<unknown>((inner, name) => (inner as Json)[name], document);
}

function resolved(value: unknown): Json {
  return (isObject(value) && typeof value['$ref'] === 'string' ? at(value['$ref']) : value) as Json;
}

/** The document lets answers have more in them than it says; this broker's have not. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (!isObject(schema)) return schema;
  const parts = Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, closed(part)]));
  return schema['type'] === 'object' && isObject(schema['properties'])
    ? { additionalProperties: false, ...parts }
    : parts;
}

const compiled = new Map<string, ValidateFunction>();

/** What is wrong with a value, by the schema at that place of the document. */
function faultsAt(pointer: string, schema: unknown, value: unknown): string[] {
  let judge = compiled.get(pointer);
  if (judge === undefined) {
    const text = JSON.stringify(closed(schema)).replaceAll('"#/components/', '"openapi#/components/');
    judge = ajv.compile(JSON.parse(text) as object);
    compiled.set(pointer, judge);
  }
  return judge(value) ? [] : (judge.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

export const described: readonly Described[] = Object.entries(document['paths'] as Json).flatMap(([path, methods]) =>
  Object.entries(methods as Json).map(([method, operation]): Described => {
    const { operationId, security, parameters = [], requestBody, responses } = operation as Json;
    const form = isObject(requestBody)
      ? ((requestBody['content'] as Json)['application/x-www-form-urlencoded'] as Json)['example']
      : undefined;
    return {
      name: `${method.toUpperCase()} ${path}`,
      method: method.toUpperCase(),
      path,
      id: String(operationId),
      bearer: security === undefined ? 'never' : (security as unknown[]).length === 1 ? 'required' : 'optional',
      parameters: parameters as Described['parameters'],
      form: form as Described['form'],
      answers: Object.fromEntries(
        Object.entries(responses as Json).map(([status, given]) => {
          const answer = resolved(given);
          const [type, content] = Object.entries((answer['content'] ?? {}) as Json)[0] ?? [];
          return [
            status,
            { headers: answer['headers'] as Json, type, example: (content as Json | undefined)?.['example'] },
          ];
        }),
      ),
    };
  }),
);

export interface Seen {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
}

/** What is other than described with an answer; nothing where the document does not know the address. */
export function faultsOf(method: string, url: string, { status, headers, text }: Seen): string[] {
  const { pathname } = new URL(url, 'http://broker');
  const operation = described.find(
    (each) =>
      each.method === (method === 'HEAD' ? 'GET' : method) &&
      new RegExp(`^${each.path.replaceAll('.', String.raw`\.`).replaceAll(/\{\w+\}/g, '[^/]+')}/?$`).test(pathname),
  );
  if (operation === undefined) return [];
  const name = `${operation.name} ${status}`;
  const pointer = `#/paths/${operation.path.replaceAll('/', '~1')}/${operation.method.toLowerCase()}/responses/${status}`;
  const given = (at(pointer.slice(0, pointer.lastIndexOf('/'))) as Json)[String(status)];
  if (given === undefined) return [`${name} is not described`];
  const answer = resolved(given);
  const faults = Object.entries(answer['headers'] as Json).flatMap(([header, each]) => {
    const { required, schema } = resolved(each) as { required: boolean; schema: { type: string } };
    const value = headers[header.toLowerCase()];
    if (value === undefined) return required ? [`there is no ${header}`] : [];
    const typed = schema.type === 'integer' ? Number(value) : value;
    return faultsAt(`header ${header}`, schema, typed).map((fault) => `${header}${fault}`);
  });
  if (method === 'HEAD') return faults;
  const [type, content] = Object.entries((answer['content'] ?? {}) as Json)[0] ?? [];
  if (type === undefined) return text === '' ? faults : [...faults, `${name} has a body`];
  const seen = String(headers['content-type']).split(';')[0];
  if (seen !== type) return [...faults, `${name} is ${seen} and not ${type}`];
  const value: unknown = type === 'application/json' ? JSON.parse(text) : text;
  return [...faults, ...faultsAt(pointer, (content as Json)['schema'], value).map((fault) => `${name}: ${fault}`)];
}

/** What is wrong with an example, by the schema beside it. */
export function faultsOfExample({ path, method }: Described, status: string, example: unknown): string[] {
  const answer = resolved(
    ((document['paths'] as Json)[path] as Record<string, Json>)[method.toLowerCase()]!['responses'],
  );
  const [content] = Object.values(resolved(answer[status])['content'] as Json);
  return faultsAt(`example ${method} ${path} ${status}`, (content as Json)['schema'], example);
}

/** A judge of one parameter, by its schema alone. */
export function judgeOf(schema: Json): (value: unknown) => boolean {
  const judge = ajv.compile(schema);
  return (value) => judge(value);
}
