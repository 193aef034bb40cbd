/** @file Keys under which domain packages bind what they bring. Each may be bound many times. */

import type { ServiceIdentifier } from 'inversify';
import type { ModelFamily } from './family.ts';
import type { PreprocessorFactory, TaskFactory } from './task.ts';

/**
 * A typed key for the container. `Symbol.for` makes two copies of the SDK in one process agree.
 * Declared through a function so that its type does not narrow to `symbol`, which would let a wrong dependency compile.
 */
export function token<T>(name: string): ServiceIdentifier<T> {
  return Symbol.for(`onnx-lora/${name}`);
}

/** Model families; `recogniseFamily` asks them in order of binding. */
export const MODEL_FAMILY: ServiceIdentifier<ModelFamily> = token('ModelFamily');
/** Makers of tasks, found by name. */
export const TASK_FACTORY: ServiceIdentifier<TaskFactory> = token('TaskFactory');
/** Makers of preprocessors, found by what they recognise. */
export const PREPROCESSOR_FACTORY: ServiceIdentifier<PreprocessorFactory> = token('PreprocessorFactory');
