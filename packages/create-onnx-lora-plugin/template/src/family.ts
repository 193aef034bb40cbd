/** @file The model family: how its models are recognised, what their layers are for, and which are adapted. */

import { type ModelFamily, matcher, rolesFrom } from '@onnx-lora/sdk/plugin';

/** Models of the family `{{family}}`. */
export const family: ModelFamily = {
  name: '{{family}}',
  domain: '{{domain}}',
  // Change: `model_type` of your models' config.json, and names that occur in the layers of models that have none.
  matches: matcher({ modelTypes: ['{{family}}'], signatures: [['^encoder.{n}', '^head']] }),
  // Change: what your layers are for. `onnx-lora inspect MODEL` lists their names; {n} stands for a number.
  roles: rolesFrom({ encoder: ['^encoder.{n}'], head: ['^head'] }),
  // Change: the roles that are adapted where the user names no targets.
  defaultTargets: ['encoder', 'head'],
  tasks: ['{{task}}'],
};
