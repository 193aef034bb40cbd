/** @file Labels that look the same: they differ only in Unicode form, spaces or capitals. */

import { OnnxLoraError } from '../../errors.ts';

/** Normalises a label to how it looks: composed characters, single plain spaces. */
function lookOf(label: string): string {
  return label.normalize('NFC').replaceAll(/\s+/g, ' ').trim();
}

function shown(label: string): string {
  return JSON.stringify(label).replaceAll(/[^\x20-\x7e]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16).padStart(4, '0');
    return code.length > 4 ? `\\u{${code}}` : `\\u${code}`;
  });
}

/** A hint if `label`, which is not among `labels`, looks like one of them; otherwise an empty string. */
export function alikeHint(label: string, labels: Iterable<string>): string {
  const look = lookOf(label);
  for (const other of labels)
    if (other !== label && lookOf(other) === look)
      return ` It looks like ${shown(other)} and is ${shown(label)}: the same characters in another Unicode form (NFC or NFD), or other spaces. Write both alike (in Python unicodedata.normalize("NFC", label).strip()).`;
  return '';
}

/** Rejects labels that look the same, since readers could not tell them apart. @throws OnnxLoraError `DATA_INVALID` */
export function requireDistinctLooks(labels: readonly string[], root: string): void {
  const looks = new Map<string, string>();
  for (const label of labels) {
    const other = looks.get(lookOf(label));
    if (other !== undefined)
      throw new OnnxLoraError('DATA_INVALID', `"${root}" has two labels that look like "${label}".${alikeHint(label, [other])}`); // prettier-ignore
    looks.set(lookOf(label), label);
  }
}

/** Warnings about labels that differ only in capitals or in compatibility characters, such as full-width letters. */
export function alikeWarnings(labels: readonly string[]): readonly string[] {
  const groups = new Map<string, string[]>();
  for (const label of labels) {
    const key = label.normalize('NFKC').toLowerCase();
    groups.set(key, [...(groups.get(key) ?? []), label]);
  }
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) => `The labels ${group.map((label) => `"${label}"`).join(' and ')} differ only in capitals or in the form of letters, and are learned as different classes. Rename them where they are meant to be one.`); // prettier-ignore
}
