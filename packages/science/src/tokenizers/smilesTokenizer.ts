/** @file Tokenizers whose tokens are the atoms, bonds and brackets of a SMILES. */

import type { SequenceTokens } from './sequenceTokenizer.ts';
import { VocabularyTokenizer } from './vocabularyTokenizer.ts';

/**
 * Atoms, in brackets or without, bonds, branches, rings. No atom takes more than a few dozen signs; looked for without end, brackets
 * that are never closed would take time with the square of their number.
 *
 * @see Schwaller et al., "Molecular Transformer" (2019), https://doi.org/10.1021/acscentsci.9b00576
 */
export const smilesPart: RegExp = /\[[^\]]{1,99}\]|Br|Cl|[BCNOSPFIbcnosp]|[().=#+\\/:~@?*$-]|>>?|%\d\d|\d/g;

/** One token per part of a SMILES, as MoLFormer and DeepChem's SmilesTokenizer read them; what is no part of one is unknown. */
export class SmilesTokenizer extends VocabularyTokenizer {
  readonly isPerLetter = false;

  tokens(text: string): SequenceTokens {
    const [ids, starts, ends]: [number[], number[], number[]] = [[], [], []];
    const put = (start: number, end: number): void => {
      ids.push(this.idOrUnknown(text.slice(start, end)));
      starts.push(start);
      ends.push(end);
    };
    let at = 0;
    const between = (end: number): void => {
      const rest = text.slice(at, end);
      if (rest.trim() !== '') put(at + rest.search(/\S/), at + rest.trimEnd().length);
    };
    for (const found of text.matchAll(smilesPart)) {
      between(found.index);
      at = found.index + found[0].length;
      put(found.index, at);
    }
    between(text.length);
    return { ids, starts, ends };
  }
}
