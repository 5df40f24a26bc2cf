import * as z from 'zod';
import { schemaId } from '../../shared/schema-id.ts';
import type { Path } from '../policy/parse-where.ts';
import { documentSchema, whereSchema } from './schema.ts';

export interface JsonSchema {
  readonly [keyword: string]: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly description?: string;
  /** For readers of the reference. */
  readonly $comment?: string;
}

const ref = { $ref: '#/$defs/matcher' };

// `where` is recursive and its faults are told by the policy compiler, so the schema library does not know it.
const matcher = {
  description: 'What the claim must be. A plain value: exactly this, and of this type.',
  anyOf: [
    { type: ['string', 'number', 'boolean'] },
    {
      type: 'object',
      minProperties: 1,
      additionalProperties: false,
      properties: {
        anyOf: { type: 'array', items: ref, minItems: 1, maxItems: 1000, description: 'One of these.' },
        not: { ...ref, description: 'Anything but this. A claim that is absent does not meet it.' },
        exists: { type: 'boolean', description: 'Whether the claim must be there.' },
        glob: { type: 'string', maxLength: 256, description: '"*" stands for anything without "/" and ":".' },
        contains: { ...ref, description: 'The claim is a list, and one element is this.' },
      },
    },
    {
      type: 'object',
      minProperties: 1,
      propertyNames: { not: { enum: ['anyOf', 'not', 'exists', 'glob', 'contains'] } },
      additionalProperties: ref,
      description: 'Claims within this claim.',
    },
  ],
};

/** For editors: the schema of one whole document. */
export function brokerJsonSchema(): JsonSchema {
  const schema = z.toJSONSchema(documentSchema, {
    io: 'input',
    override: ({ zodSchema, jsonSchema }) => {
      if ((zodSchema as unknown) !== whereSchema) return;
      Object.assign(jsonSchema, { minProperties: 1, additionalProperties: ref });
    },
  }) as JsonSchema;
  const { $schema, ...rest } = schema;
  return {
    $schema,
    $id: schemaId('broker-config'),
    ...rest,
    title: 'Kleis broker configuration',
    // A document of a folder may leave out what another one says.
    required: ['apiVersion', 'kind'],
    $defs: { matcher },
  };
}

/** The part of the schema that describes what stands at a path; undefined if nothing may stand there. */
export function schemaAt(path: Path, whole: JsonSchema = brokerJsonSchema()): JsonSchema | undefined {
  let parts: readonly JsonSchema[] = [whole];
  for (const key of path) {
    parts = parts.flatMap(alternatives).flatMap((part) => {
      const next = typeof key === 'number' ? part.items : (part.properties?.[key] ?? part.additionalProperties);
      return typeof next === 'object' ? [next] : [];
    });
  }
  return parts.length > 1 ? { anyOf: parts } : parts[0];
}

/** Names that may stand at a place. */
export function namesAt(path: Path): string[] {
  const schema = schemaAt(path);
  if (schema === undefined) return [];
  return [...new Set(alternatives(schema).flatMap((part) => Object.keys(part.properties ?? {})))];
}

function alternatives(schema: JsonSchema): readonly JsonSchema[] {
  return schema.anyOf === undefined ? [schema] : schema.anyOf.flatMap(alternatives);
}
