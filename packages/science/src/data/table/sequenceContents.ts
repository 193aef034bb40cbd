/** @file Tells which columns hold sequences and mutations. */

import { ColumnContents } from '@onnx-lora/sequences';
import { areMutations, isWildType } from '../mutations.ts';

/** What the cells of columns look like. */
export class SequenceContents extends ColumnContents {
  readonly hasSequences = (column: string): boolean => {
    const texts = this.textsOf(column);
    return texts.length === 0 || texts.filter((text) => /^[A-Za-z][^,;]*$|^[[(]/.test(text)).length > texts.length / 2;
  };

  hasMutations(column: string): boolean {
    const texts = this.textsOf(column).filter((text) => !isWildType(text));
    return texts.filter(areMutations).length > texts.length / 2;
  }
}
