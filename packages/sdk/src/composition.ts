/**
 * @file `@onnx-lora/sdk/composition`: services of a program by typed keys, put together in one place, and released with the
 * scope that made them. Nothing else of the SDK needs it, or Inversify, which resolves them.
 */

export { type Key, key, type Keys, type Provide, Scope, type ServiceModule } from './composition/scope.ts';
export {
  type Engines,
  ENGINES,
  KIND,
  nodeModule,
  OPEN_MODEL,
  type OpenModel,
  pluginsModule,
  REGISTRY,
} from './composition/services.ts';
