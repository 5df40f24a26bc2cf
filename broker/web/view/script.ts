/** What a page can do besides with scripts: nothing of it is needed. */
export const script = `'use strict';
for (const button of document.querySelectorAll('[data-copy]')) {
  const target = document.getElementById(button.dataset.copy);
  if (!target || !navigator.clipboard) continue;
  const word = button.firstElementChild;
  const said = word.textContent;
  button.hidden = false;
  button.addEventListener('click', async () => {
    try {
      await navigator.clipboard.writeText(target.textContent);
      word.textContent = button.dataset.copied;
    } catch {
      getSelection().selectAllChildren(target);
    }
    setTimeout(() => { word.textContent = said; }, 2000);
  });
}
for (const input of document.querySelectorAll('[data-filters]')) {
  const list = document.getElementById(input.dataset.filters);
  const none = document.getElementById(input.dataset.filters + '-none');
  if (!list) continue;
  input.addEventListener('input', () => {
    const words = input.value.toLowerCase().split(' ').filter(Boolean);
    let shown = 0;
    for (const item of list.querySelectorAll('[data-item]')) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
      if (!item.hidden) shown += 1;
    }
    if (none) none.hidden = shown > 0;
  });
}
`;
