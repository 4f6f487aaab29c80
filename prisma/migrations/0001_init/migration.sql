CREATE TABLE "orgs" (
    "id" UUID NOT NULL,
    "slug" TEXT NOT NULL,

    CONSTRAINT "orgs_pkey" PRIMARY KEY ("id")
);

CREATE UNIQUE INDEX "orgs_slug_key" ON "orgs"("slug");
