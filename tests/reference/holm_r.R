# Holm-corrected p-values of random families, some with ties and missing values.
arguments <- commandArgs(trailingOnly = TRUE)
set.seed(7)
rows <- do.call(rbind, lapply(1:40, function(family) {
  p <- signif(runif(sample(1:20, 1))^sample(1:4, 1), 3)
  if (family %% 4 == 0) p[sample(length(p), 1)] <- NA
  data.frame(family, p = p, holm = sprintf("%.17g", p.adjust(p, "holm")))
}))
write.csv(rows, arguments[1], row.names = FALSE, quote = FALSE)
