/** What packages say of when they were made. Else git is asked, which not every machine has. */
export function fixSourceDate(): void {
  process.env['SOURCE_DATE_EPOCH'] ??= '1767225600';
}
