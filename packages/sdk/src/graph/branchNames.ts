/** @file Names of what merging puts beside layers, by which a merged file tells it from the base. */

/** With this word begin the names of nodes, values and tensors of a branch. */
export const BRANCH = 'onnx_lora.branch';

const ofBranch = /^onnx_lora\.branch(?:_\d+)?\//;
const ofBase = /^(?:onnx_lora\.branch(?:_\d+)?\/base\/(?:\d+\/)?)+/;

/** Whether a name belongs to a branch: no layer of the base has such a weight. */
export function isOfBranch(name: string): boolean {
  return ofBranch.test(name);
}

/** The name that the base has for a node or a value of a layer with a branch; the name itself otherwise. */
export function nameInBase(name: string): string {
  return name.replace(ofBase, '');
}
