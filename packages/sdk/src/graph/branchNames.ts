/** @file Names of the branches that merging adds next to layers; they tell a merged file from its base. */

/** Name prefix of a branch's nodes, values and tensors. */
export const BRANCH = 'onnx_lora.branch';

const ofBranch = /^onnx_lora\.branch(?:_\d+)?\//;
const ofBase = /^(?:onnx_lora\.branch(?:_\d+)?\/base\/(?:\d+\/)?)+/;

/** Whether a name belongs to a branch; such weights are no layers of the base. */
export function isOfBranch(name: string): boolean {
  return ofBranch.test(name);
}

/** The base's name of a node or value of a layer with a branch; other names unchanged. */
export function nameInBase(name: string): string {
  return name.replace(ofBase, '');
}
