import * as z from 'zod';
import packageJson from '../../package.json' with { type: 'json' };
import { answeredCodes, shapes } from '../../shared/answers.ts';
import { type ErrorCode, KleisError, statusOf } from '../../shared/errors.ts';
import { headerNames, type Content, type Operation, operations, tags } from './operations.ts';
import type { Parameters } from './parameter.ts';

type Json = Readonly<Record<string, unknown>>;

/** OpenAPI 3.1 of every address of a broker. @param server the URL at which callers reach it */
export function openApi(server = 'https://kleis.example.com'): Json {
  return {
    openapi: '3.1.1',
    info: {
      title: 'Kleis broker',
      version: packageJson.version,
      summary: 'Exchanges identities of CI jobs and people for short-lived service-account tokens.',
      description: about,
      license: { name: 'Apache License 2.0', identifier: packageJson.license },
    },
    servers: [{ url: server }],
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    security: [],
    paths: Object.fromEntries(
      Object.entries(operations).map(([path, methods]) => [
        pathOf(path),
        Object.fromEntries(Object.entries(methods).map(([method, each]) => [method.toLowerCase(), describe(each)])),
      ]),
    ),
    components: {
      schemas: describeShapes(),
      responses: commonRefusals(),
      headers,
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'A token of one of the issuers, for the audience that `/.well-known/kleis` names.',
        },
      },
    },
  };
}

const about =
  `Every answer carries \`X-Request-Id\`, which stands in the audit and the log too. Every answer that is not 2xx is an
\`ErrorResponse\`, but for \`/readyz\`, and for what is no HTTP request or does not come in time: that is answered with 400, 408
or 431 before it is looked at. A method that an address does not have is answered with 405, an unknown address with 404. HEAD
is as GET. Clients ignore what they do not know: there may be more in an answer than stands here.`.replaceAll(
    '\n',
    ' ',
  );

/** Of express: `/leases/:id`, and what may follow in braces. */
export function pathOf(pattern: string): string {
  return pattern.replace(/\{.*\}$/, '').replaceAll(/:(\w+)/g, '{$1}');
}

const headers = {
  'X-Request-Id': {
    description: "Stands in the broker's log and audit too.",
    required: true,
    schema: { type: 'string', format: 'uuid' },
  },
  'Retry-After': {
    description: 'Seconds after which it makes sense to try again.',
    required: true,
    schema: { type: 'integer', minimum: 1 },
  },
  'WWW-Authenticate': { description: 'RFC 6750.', required: true, schema: { type: 'string', pattern: '^Bearer ' } },
  ETag: { description: 'Of what the body says.', required: true, schema: { type: 'string', pattern: '^"[\\w-]+"$' } },
  'Cache-Control': { description: 'Whether it may be kept.', required: true, schema: { type: 'string' } },
};

function describeShapes(): Json {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(shapes)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, {
    uri: (id) => `#/components/schemas/${id}`,
    // What is more in an answer is no fault of it.
    io: 'input',
    override: ({ jsonSchema }) => {
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
    },
  });
  for (const schema of Object.values(schemas)) {
    // They are for schemas that stand in a file of their own.
    delete schema.$schema;
    delete schema.$id;
  }
  return schemas;
}

const shape = (name: string) => ({ $ref: `#/components/schemas/${name}` });

function describe({ id, tag, summary, description, bearer, form, errors, ...rest }: Operation): Json {
  const parameters = [
    ...describeParameters('path', rest.path),
    ...describeParameters('query', rest.query),
    ...describeParameters('header', rest.headers),
  ];
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description !== undefined && { description }),
    ...(bearer !== undefined && { security: [...(bearer === 'optional' ? [{}] : []), { bearer: [] }] }),
    ...(parameters.length > 0 && { parameters }),
    ...(form && { requestBody: describeForm(form) }),
    responses: describeAnswers(rest.answers, errors),
  };
}

function describeParameters(place: string, parameters: Parameters = {}): Json[] {
  return Object.entries(parameters).map(([name, { schema, description, required, example }]) => ({
    name: headerNames[name] ?? name,
    in: place,
    description,
    ...(required && { required }),
    schema,
    ...(example !== undefined && { example }),
  }));
}

function describeForm(form: Parameters): Json {
  const entries = Object.entries(form);
  const schema = {
    type: 'object',
    properties: Object.fromEntries(
      entries.map(([name, parameter]) => [name, { ...parameter.schema, description: parameter.description }]),
    ),
    required: entries.filter(([, { required }]) => required).map(([name]) => name),
  };
  const example = Object.fromEntries(
    entries.flatMap(([name, each]) => (each.example === undefined ? [] : [[name, each.example]])),
  );
  return { required: true, content: { 'application/x-www-form-urlencoded': { schema, example } } };
}

function describeAnswers(wanted: Operation['answers'], codes: readonly ErrorCode[]): Json {
  const refusals = [...new Set(codes)].map((code) => ({ code, status: statusOf(code).status }));
  const statuses = new Set([...Object.keys(wanted).map(Number), ...refusals.map(({ status }) => status)]);
  return Object.fromEntries(
    Array.from(statuses, (status) => {
      const refused = refusals.filter((each) => each.status === status).map(({ code }) => code);
      const [code] = refused;
      const isCommon = wanted[status] === undefined && refused.length === 1;
      const answer = isCommon
        ? { $ref: `#/components/responses/${code}` }
        : describeAnswer(status, wanted[status], refused);
      return [String(status), answer];
    }),
  );
}

/** What is refused by many with one code each. */
function commonRefusals(): Json {
  return Object.fromEntries(
    answeredCodes.map((code) => [code, describeAnswer(statusOf(code).status, undefined, [code])]),
  );
}

function describeAnswer(status: number, wanted: Content | undefined, codes: readonly ErrorCode[]): Json {
  const { schema, type = 'application/json', example } = wanted ?? {};
  const bodies = [
    ...(typeof schema === 'string' ? [shape(schema)] : schema === undefined ? [] : [schema]),
    ...(codes.length === 0 ? [] : [refusalSchema(codes)]),
  ];
  const names = [
    'X-Request-Id',
    ...(wanted?.headers ?? []),
    ...(status === 429 || (status === 503 && wanted === undefined) ? ['Retry-After'] : []),
    ...(status === 401 ? ['WWW-Authenticate'] : []),
  ];
  const lines = codes.map((code) => `* \`${code}\`: ${new KleisError(code, '').hint}`);
  return {
    description: [...(wanted ? [wanted.description] : []), ...lines].join('\n'),
    headers: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }])),
    ...(bodies.length > 0 && {
      content: {
        [type]: {
          schema: bodies.length === 1 ? bodies[0] : { anyOf: bodies },
          ...(example !== undefined && { example }),
        },
      },
    }),
  };
}

function refusalSchema(codes: readonly ErrorCode[]): Json {
  const errors = [...new Set(codes.map((code) => statusOf(code).oauth))];
  return { allOf: [shape('ErrorResponse'), { properties: { error: { enum: errors }, code: { enum: codes } } }] };
}
