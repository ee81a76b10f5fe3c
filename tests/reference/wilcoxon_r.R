# Adds to every case: V and p_value of wilcox.test(x, y, paired = TRUE), whether R took the exact distribution, and, where it did, the
# Hodges-Lehmann estimate. Numbers have 17 digits. A case without a complete pair, which R refuses, has NA.
arguments <- commandArgs(trailingOnly = TRUE)
cases <- read.csv(arguments[1], colClasses = "character")
text <- function(value) ifelse(is.nan(value), "NaN", ifelse(is.na(value), "NA", sprintf("%.17g", value)))
numbers <- function(words, scale) suppressWarnings(as.integer(strsplit(words, " ")[[1]])) / as.numeric(scale)
result <- t(mapply(function(x, y, scale) {
  x <- numbers(x, scale)
  y <- numbers(y, scale)
  if (!any(complete.cases(x, y))) return(c("NA", "NA", "NA", "NA"))
  test <- suppressWarnings(wilcox.test(x, y, paired = TRUE))
  exact <- !grepl("continuity", test$method)
  shift <- if (exact) wilcox.test(x, y, paired = TRUE, conf.int = TRUE)$estimate else NA
  c(text(unname(test$statistic)), text(test$p.value), exact, text(unname(shift)))
}, cases$x, cases$y, cases$scale))
colnames(result) <- c("v", "p_value", "exact", "shift")
write.csv(cbind(cases, result), arguments[2], row.names = FALSE, quote = FALSE)
