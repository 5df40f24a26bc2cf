import { Choice, namesOrAny } from '../view/choice.tsx';
import type { PersonVisit } from '../view/visit.ts';

/** Of which issuer, and in which cluster: the names of the configuration, or any. */
export function PlaceChoices({
  visit,
  chosen,
  words,
}: {
  readonly visit: PersonVisit;
  readonly chosen: { readonly issuer?: string | undefined; readonly cluster?: string | undefined };
  readonly words: { readonly issuer: string; readonly cluster: string; readonly any: string };
}) {
  const { issuers, clusters } = visit.services.loaded.config;
  return (
    <>
      <Choice
        name="issuer"
        label={words.issuer}
        value={chosen.issuer ?? ''}
        options={namesOrAny(Object.keys(issuers), words.any)}
      />
      <Choice
        name="cluster"
        label={words.cluster}
        value={chosen.cluster ?? ''}
        options={namesOrAny(Object.keys(clusters), words.any)}
      />
    </>
  );
}
