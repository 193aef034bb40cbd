/** @file `@onnx-lora/sdk/composition`: dependency injection for programs. Only these modules need Inversify. */

export { type Key, key, type Keys, type Provide, Scope, type ServiceModule } from './composition/scope.ts';
export * from './composition/services.ts';
