export { type ActiveHalt, activeHalts, HaltService, haltsOver } from './halts.ts';
export { budgetRoutes } from './routes.ts';
