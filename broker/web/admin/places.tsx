import { Choice, type Option } from '../view/choice.tsx';
import type { PersonVisit } from '../view/visit.ts';

/** Of which issuer, and in which cluster: the names of the configuration, or none of them. */
export function PlaceChoices({
  visit,
  chosen,
  words,
}: {
  readonly visit: PersonVisit;
  readonly chosen: { readonly issuer?: string | undefined; readonly cluster?: string | undefined };
  /** `any…`: what stands for none of them. */
  readonly words: {
    readonly issuer: string;
    readonly anyIssuer: string;
    readonly cluster: string;
    readonly anyCluster: string;
  };
}) {
  const { issuers, clusters } = visit.services.loaded.config;
  return (
    <>
      <Choice
        name="issuer"
        label={words.issuer}
        value={chosen.issuer ?? ''}
        options={namesOrAny(Object.keys(issuers), words.anyIssuer)}
      />
      <Choice
        name="cluster"
        label={words.cluster}
        value={chosen.cluster ?? ''}
        options={namesOrAny(Object.keys(clusters), words.anyCluster)}
      />
    </>
  );
}

function namesOrAny(names: readonly string[], any: string): Option[] {
  return [{ value: '', label: any }, ...names.map((name) => ({ value: name, label: name }))];
}
