import type { Resource } from './resources.ts';
import type { KubeObject } from './store.ts';

interface Column {
  readonly name: string;
  readonly cell: (object: KubeObject) => string | number;
}

const nameColumn: Column = { name: 'Name', cell: ({ metadata }) => metadata.name };
const ageColumn: Column = { name: 'Age', cell: ({ metadata }) => age(metadata.creationTimestamp) };
const phaseColumn: Column = {
  name: 'Status',
  cell: ({ status }) => (status as { phase?: string } | undefined)?.phase ?? 'Pending',
};

const columns: Readonly<Record<string, readonly Column[]>> = {
  namespaces: [nameColumn, phaseColumn, ageColumn],
  pods: [
    nameColumn,
    {
      name: 'Ready',
      cell: ({ spec }) => `0/${(spec as { containers?: unknown[] } | undefined)?.containers?.length ?? 0}`,
    },
    phaseColumn,
    { name: 'Restarts', cell: () => '0' },
    ageColumn,
  ],
  configmaps: [nameColumn, { name: 'Data', cell: ({ data }) => Object.keys(data ?? {}).length }, ageColumn],
};

/** Whether the caller prefers a table, as kubectl does to print. */
export function wantsTable(accept: string | undefined): boolean {
  return accept?.split(',')[0]?.includes('as=Table') ?? false;
}

/** meta.k8s.io/v1 Table: how the server tells kubectl what to print. */
export function toTable({ plural }: Resource, objects: readonly KubeObject[], resourceVersion: string): object {
  const shown = columns[plural] ?? [nameColumn, ageColumn];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: { resourceVersion },
    columnDefinitions: shown.map(({ name }) => ({
      name,
      type: 'string',
      format: name === 'Name' ? 'name' : '',
      description: '',
      priority: 0,
    })),
    rows: objects.map((object) => ({
      cells: shown.map(({ cell }) => cell(object)),
      object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata },
    })),
  };
}

function age(created: string | undefined): string {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(created ?? '')) / 1000));
  return seconds < 120 ? `${seconds}s` : `${Math.floor(seconds / 60)}m`;
}
