// What a page of the site can do beside being read: search, and copy an example. Without scripts it is all there but these.
import MiniSearch from 'minisearch';

const root = document.body.dataset['root'] ?? '';

for (const pre of document.querySelectorAll('pre')) {
  const box = document.createElement('div');
  box.className = 'code';
  pre.replaceWith(box);
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.textContent = 'Copy';
  const say = (text) => {
    button.textContent = text;
    setTimeout(() => {
      button.textContent = 'Copy';
    }, 1500);
  };
  button.addEventListener('click', () => {
    navigator.clipboard.writeText(pre.textContent.replace(/\n$/, '')).then(
      () => say('Copied'),
      () => say('Select it'),
    );
  });
  box.append(pre, button);
}

const box = document.querySelector('.search');
const input = document.querySelector('#query');
const hits = document.querySelector('#hits');
box.hidden = false;

/** The index is a script, not data: so a folder of files works as well as a server. */
let loading;
const loadIndex = () => {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = `${root}search-index.js`;
    script.addEventListener('load', () =>
      resolve(MiniSearch.loadJS(window['kleisIndex'].index, window['kleisIndex'].options)),
    );
    script.addEventListener('error', reject);
    document.head.append(script);
  });
  return loading;
};

let chosen = -1;
const choose = (index) => {
  const items = [...hits.querySelectorAll('[role=option]')];
  chosen = items.length === 0 ? -1 : (index + items.length) % items.length;
  for (const [place, item] of items.entries()) item.setAttribute('aria-selected', String(place === chosen));
  if (chosen < 0) input.removeAttribute('aria-activedescendant');
  else {
    input.setAttribute('aria-activedescendant', items[chosen].id);
    items[chosen].scrollIntoView({ block: 'nearest' });
  }
};
const show = (isShown) => {
  hits.hidden = !isShown;
  input.setAttribute('aria-expanded', String(isShown));
};

const search = async () => {
  const query = input.value.trim();
  if (query === '') return show(false);
  const index = await loadIndex();
  // Somebody typed on meanwhile.
  if (query !== input.value.trim()) return undefined;
  const how = { prefix: (term) => term.length > 1, fuzzy: (term) => (term.length > 4 ? 0.2 : false) };
  const both = index.search(query, { ...how, combineWith: 'AND' });
  const found = (both.length > 0 ? both : index.search(query, how)).slice(0, 12);
  const items = found.map(({ url, heading, page }, place) => {
    const item = document.createElement('li');
    item.id = `hit-${place}`;
    item.setAttribute('role', 'option');
    const link = document.createElement('a');
    link.href = root + url;
    link.tabIndex = -1;
    const where = document.createElement('small');
    where.textContent = page;
    link.append(heading, where);
    item.append(link);
    return item;
  });
  const none = document.createElement('li');
  none.className = 'none';
  none.textContent = 'Nothing was found.';
  hits.replaceChildren(...(items.length > 0 ? items : [none]));
  show(true);
  return choose(0);
};

input.addEventListener('focus', () => void loadIndex(), { once: true });
input.addEventListener('input', () => void search());
input.addEventListener('keydown', (event) => {
  if (event.key === 'ArrowDown' || event.key === 'ArrowUp') choose(chosen + (event.key === 'ArrowDown' ? 1 : -1));
  else if (event.key === 'Enter') hits.querySelector('[aria-selected=true] a')?.click();
  else if (event.key === 'Escape') show(false);
  else return;
  event.preventDefault();
});
hits.addEventListener('click', () => show(false));
document.addEventListener('click', (event) => {
  if (!box.contains(event.target)) show(false);
});
document.addEventListener('keydown', (event) => {
  const isTyping = event.target.closest('input, textarea, select') !== null;
  if (event.key === '/' && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    input.focus();
  }
});
