import { Pager } from '../view/table.tsx';
import { adminTexts } from './texts.ts';

/** To the pages before and behind, where there are several. */
export function PageLinks({
  label,
  page,
  pages,
  link,
}: {
  readonly label: string;
  readonly page: number;
  readonly pages: number;
  readonly link: (page: number) => string;
}) {
  if (pages === 1) return null;
  return (
    <Pager
      label={label}
      status={adminTexts.page(page, pages)}
      previous={page > 1 ? link(page - 1) : undefined}
      next={page < pages ? link(page + 1) : undefined}
    />
  );
}
