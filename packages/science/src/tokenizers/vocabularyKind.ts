/** @file What the tokens of a vocabulary are: words, letters, k-mers, parts of SMILES. */

import { smilesPart } from './smilesTokenizer.ts';

/** A kind of vocabulary. */
export type VocabularyKind =
  | { readonly kind: 'letters'; readonly prefix: string }
  | { readonly kind: 'kmers'; readonly k: number }
  | { readonly kind: 'smiles' }
  | { readonly kind: 'words' };

/** `[PAD]`, `<s>`, `[unused12]`: special by their looks. */
const isSpecial = (token: string): boolean => /^(?:<.+>|\[(?:PAD|UNK|CLS|SEP|MASK|unused\d+)\])$/.test(token);

/** Finds the kind, by the tokens that are not special. */
export function vocabularyKind(tokens: readonly (string | undefined)[]): VocabularyKind {
  const ordinary = tokens.filter((token) => token !== undefined && token !== '▁' && !isSpecial(token)) as string[];
  const k = ordinary[0]?.length ?? 0;
  if (k > 1 && ordinary.every((token) => token.length === k && /^[ACGTU]+$/.test(token))) return { kind: 'kmers', k };
  const prefix = ordinary.length > 0 && ordinary.every((token) => token.startsWith('▁')) ? '▁' : '';
  if (ordinary.length > 0 && ordinary.every((token) => [...token].length === prefix.length + 1)) {
    return { kind: 'letters', prefix };
  }
  const parts = ordinary.filter((token) => token.match(smilesPart)?.[0] === token).length;
  const isSmiles = ['C', 'c', '(', '=', '1'].every((token) => ordinary.includes(token));
  return isSmiles && parts >= 0.9 * ordinary.length ? { kind: 'smiles' } : { kind: 'words' };
}
