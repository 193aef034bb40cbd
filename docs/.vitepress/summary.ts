/** @file Summary of a page in a sentence, for search engines and link previews. */

/** The first sentences of a page's first paragraph, as plain text of some 160 characters; '' for a page without one. */
export function summaryOf(markdown: string): string {
  const paragraph = markdown
    .replace(/^---\n[\s\S]*?\n---\n/, '')
    .replaceAll(/^ *(```+|:::)[\s\S]*?^ *\1.*$/gm, '')
    .split(/\n{2,}/)
    .map((block) => block.trim())
    // Neither headings, quotes, lists, tables, includes and tags, nor typedoc's path of a page.
    .find((block) => block !== '' && !/^(?:[#>|<]|[-*] |\d+\. |\[Reference\]\()/.test(block));
  return cut(plain(paragraph ?? ''), 160);
}

function plain(markdown: string): string {
  return markdown
    .replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/[`*]|\b_|_\b|\\(?=[<>_*])/g, '')
    .replaceAll(/\s+/g, ' ');
}

/** Whole sentences up to `length`, and the first one in any case, cut at a word where it is longer. */
function cut(text: string, length: number): string {
  let kept = '';
  for (const sentence of text.split(/(?<=[.:;?!]) (?=[A-Z`])/)) {
    const more = kept === '' ? sentence : `${kept} ${sentence}`;
    if (more.length > length) break;
    kept = more;
  }
  return kept === '' && text !== '' ? `${text.slice(0, text.lastIndexOf(' ', length))} …` : kept;
}
